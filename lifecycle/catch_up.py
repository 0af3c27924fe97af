"""Folding the log into a generation of the state that is not live, with the fold of the stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from settings import Settings
from stores import Logged, StateStores
from stores.archive.whole_log import WholeLog
from stores.feast.feature_store import Features
from stores.kafka.batch_headers import Run, read_runs
from stores.kafka.producer import Refused
from stores.redis.shard_log import ShardLogs
from stream.consume.log_guard import skip_to
from stream.fold.event_path import Fold
from stream.fold.items import ItemPublisher
from stream.fold.shard_batch import Dead
from stream.fold.stores import FoldStores
from stream.health import Health
from stream.redis_stores import RedisStores

BATCH = 500
"""Records folded at once."""


class CatchUp:
    """Folds the log into a generation that nobody else folds into.

    Neither dead letters nor the ranker's inputs are logged: the live generation has logged those of every record that
    is folded here.

    Args:
        settings: all settings.
        state: the generation.
        features: its feature store.
        log: archive and log, from the first record that the generation does not hold.
    """

    def __init__(self, settings: Settings, state: StateStores, features: Features, log: WholeLog) -> None:
        self._settings, self._state, self._log = settings, state, log
        health = Health.of(settings.stream)
        self._schema, self._items = state.published.schema(), state.published.catalogue()
        stores = FoldStores(self._schema, self._items, state.profiles, features, without_letters, health.troubles)
        waiting_events = settings.catalogue.waiting_events
        self._fold = Fold(stores, settings.stream.max_future_s, self._read_runs, waiting_events=waiting_events)
        self._publisher = ItemPublisher(settings, RedisStores(settings, state.generation), health)
        self._lost = {shard: position.lost for shard, position in ShardLogs(state.profiles).positions().items()}

    def fold_to(self, ends: Mapping[int, int], folded: Callable[[int], None] = lambda events: None) -> int:
        """Fold the records before `ends`; a partition that is further, or not named, stays where it is.

        Args:
            ends: by partition, an offset.
            folded: called with the number of records that were folded so far.

        Returns:
            The records that were folded.

        Raises:
            LogError: if the log lacks records.
            Unreachable: if a store does not answer.
        """
        profiles, count = self._state.profiles, 0
        begins = self.next_offsets()
        ends = {shard: max(begin, ends.get(shard, 0)) for shard, begin in begins.items()}
        if ends == begins:
            return 0
        self._log.seek(begins)
        for records in self._log.read_to(ends):
            for start in range(0, len(records), BATCH):
                batch = records[start : start + BATCH]
                _, refused = self._fold({batch[0].partition: batch})
                for error in refused.values():
                    raise error
                count += len(batch)
            folded(count)
        # Behind the last event of a partition there may be a transaction's marker, which no reader is given.
        for shard, begin in self.next_offsets().items():
            if begin < ends[shard]:
                skip_to(profiles, shard, begin - 1, ends[shard] - 1)
        return count

    def publish_items(self) -> None:
        """Write the feature rows of the items whose counters changed; raises Unreachable if a store does not answer."""
        self._publisher.publish_once(self._schema, self._items)

    def next_offsets(self) -> dict[int, int]:
        """By partition, offset of the first record that the generation does not hold.

        Raises:
            Unreachable: if Redis does not answer.
        """
        applied = self._state.profiles.applied()
        return {shard: (-1 if offset is None else offset) + 1 for shard, offset in enumerate(applied)}

    def _read_runs(self, partition: int, first: int, end: int) -> Sequence[Run]:
        accepted = [Run(at, until, False) for at, until in self._lost.get(partition, ())]
        runs = [*read_runs(self._settings.kafka, partition, first, end), *accepted]
        return sorted(runs, key=lambda run: run.first)


def without_letters(dead: Sequence[Dead]) -> Sequence[tuple[Logged, str, Refused]]:
    """Take dead letters that the live generation has filed."""
    return ()
