"""The ranker's inputs as they stand before each event of a batch, for the feature log.

An item's counters are the sum over all shards, of which a fold sees one. In a row stand that shard's as of now and the
others' as of the snapshot, so that a row is a function of its partition's log alone: the same whenever, and in whatever
company, the log is folded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from features import Event, Item, ItemCounter, Profile, User, dense
from features.broken import Broken
from features.columns import Before, ItemTable, user_values
from settings import DriftSettings
from stores import DriftTopics, FeatureBatch, Logged, Sampled, StoreError
from stream.fold.sampling import Sampler
from stream.troubles import DRIFT, Troubles

log = logging.getLogger("reelstream.stream")

Others = Mapping[int, tuple[int, int]]
"""(ratings, likes) of each item in the snapshot's other shards."""


class Moments:
    """The moments before the events of a shard's batch, taken one by one while it is folded.

    Args:
        shard: of the events.
        table: the catalogue.
        others: the items' counters in the other shards.
        scored: offsets of the events that are to be scored, if they count.
        lists: how many lists are to be made before events.

    Attributes:
        users: states of the users, one for each event.
        items: ratings and likes of the items.
        taken: the events.
        sampled: what is needed to score some of them.
        failure: the error that ended the taking; None while all goes well.
    """

    def __init__(self, shard: int, table: ItemTable, others: Others, scored: Collection[int], lists: Sampler) -> None:
        self.shard = shard
        self._table, self._others, self._scored, self._lists = table, others, scored, lists
        self.users = Before(table)
        self.items: list[tuple[int, int]] = []
        self.taken: list[tuple[Logged, Event]] = []
        self.sampled: list[Sampled] = []
        self.failure: Exception | None = None

    def take(self, record: Logged, event: Event, profile: Profile, user: User, counter: ItemCounter) -> None:
        """Take the moment before an event that counts. Never raises: the fold goes on without its inputs."""
        if self.failure is None:
            try:
                self._take(record, event, profile, user, counter)
            except Exception as error:
                self.failure = error

    def _take(self, record: Logged, event: Event, profile: Profile, user: User, counter: ItemCounter) -> None:
        if record.offset in self._scored:
            self.sampled.append(self._sample(event, profile, user))
        n, likes = self._others.get(event.itemid, (0, 0))
        self.users.take(profile)
        self.items.append((counter.n + n, counter.likes + likes))
        self.taken.append((record, event))

    def _sample(self, event: Event, profile: Profile, user: User) -> Sampled:
        """The facts that scoring an event takes, and now and then those that a list before it takes."""
        listed = event.liked and bool(self._lists.choose(1))
        values = user_values(profile, self._table.items) if listed else []
        return Sampled(len(self.taken), user.gender, user.age, user.occupation, profile.n, list(profile.recent), values)

    def feature_batch(self, spoil: bool) -> FeatureBatch:
        """The events with the ranker's inputs before each; at least one must be taken.

        Args:
            spoil: whether the header `broken` of an event spoils a feature (see `drift.spoil_features`).
        """
        events = [(event.userid, event.itemid, event.rating, event.ts) for _, event in self.taken]
        userid, itemid, rating, ts = np.array(events, dtype=np.int64).T
        n, likes = np.array(self.items, dtype=np.int64).T
        rows = dense(self.users.columns(), self._table.columns(itemid, n, likes))
        if spoil:
            for row, (record, _) in zip(rows, self.taken, strict=True):
                broken = Broken.of(record.headers)
                if broken is not None:
                    broken.apply(row)
        return FeatureBatch(
            self.shard,
            np.array([record.offset for record, _ in self.taken], dtype=np.int64),
            ts,
            userid,
            itemid,
            rating,
            np.array([record.created for record, _ in self.taken]),
            rows,
            self.sampled,
        )


class Inputs:
    """Begins the batches of the feature log, and appends them.

    Args:
        items: the catalogue.
        others: gives what the other shards' counters were in the snapshot, by shard.
        settings: how many events are sampled, and whether headers may spoil features.
        topics: where the batches go.
        troubles: where failures are reported; none of them stops the fold.
    """

    def __init__(
        self,
        items: Mapping[int, Item],
        others: Callable[[int], Others | None],
        settings: DriftSettings,
        topics: DriftTopics,
        troubles: Troubles,
    ) -> None:
        self._table = ItemTable(items)
        self._read_others, self._others = others, dict[int, Others | None]()
        self._scored, self._lists = Sampler(settings.scored_per_s), Sampler(settings.listed_per_s)
        self._spoil = settings.spoil_features
        self._topics, self._troubles = topics, troubles

    def begin(self, shard: int, offsets: Sequence[int]) -> Moments | None:
        """Begin with a batch of a shard; None where its snapshot is too old for it.

        Args:
            shard: the shard.
            offsets: of the events that are not folded yet, some of which are chosen to be scored.

        Raises:
            Unreachable: if Redis does not answer.
        """
        others = self._others_of(shard)
        if others is None:
            return None
        scored = {offsets[place] for place in self._scored.choose(len(offsets))}
        return Moments(shard, self._table, others, scored, self._lists)

    def _others_of(self, shard: int) -> Others | None:
        if shard not in self._others:
            try:
                self._others[shard] = self._read_others(shard)
            except StoreError:
                raise
            except Exception as error:
                self._troubles.report(DRIFT, f"the snapshot's counters cannot be read: {error}", error=error)
                return None
            if self._others[shard] is None:
                log.warning(
                    "drift is not monitored: the snapshot lacks counters; `reelstream publish --reset` writes one"
                )
        return self._others[shard]

    def log(self, batches: Sequence[Moments]) -> None:
        """Append what was taken to the feature log. A batch that cannot be logged is reported and left out.

        Raises:
            Unreachable: if Kafka does not answer.
        """
        logged = []
        for moments in batches:
            try:
                if moments.failure is not None:
                    raise moments.failure
                if moments.taken:
                    logged.append(moments.feature_batch(self._spoil))
            except Exception as error:
                self._troubles.report(
                    DRIFT, f"inputs of events of partition {moments.shard} are not logged: {error!r}", error=error
                )
        if refused := self._topics.log(logged):
            self._troubles.report(
                DRIFT, f"Kafka refuses {len(refused)} messages of the feature log: {refused[0]}", len(refused)
            )
