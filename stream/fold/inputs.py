"""The ranker's inputs as they stand before each event of a batch, for the feature log.

An item's counters are the sum over all shards, of which a fold sees one. In a row stand that shard's as of now and the
others' as of the snapshot, so that a row is a function of its partition's log alone: the same whenever, and in whatever
company, the log is folded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

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


class Batch:
    """The moments before the events of a batch, taken while it is folded.

    Attributes:
        shard: of the events.
        users: states of the users, one for each event that counted.
        items: ratings and likes of the items.
        taken: the events.
        sampled: what is needed to score some of them.
        failure: the error that ended the taking; None while all goes well.
    """

    def __init__(
        self, inputs: Inputs, shard: int, new: Sequence[tuple[Logged, Event]], others: Others, chosen: set[int]
    ) -> None:
        self.shard = shard
        self._inputs, self._new, self._others, self._chosen = inputs, new, others, chosen
        self.users = Before(inputs.table)
        self.items: list[tuple[int, int]] = []
        self.taken: list[tuple[Logged, Event]] = []
        self.sampled: list[Sampled] = []
        self.failure: Exception | None = None

    def before(self, place: int, profile: Profile, user: User, counter: ItemCounter) -> None:
        """Take the moment before the event at `place`. Never raises: the fold goes on without its inputs."""
        if self.failure is None:
            try:
                self._take(place, profile, user, counter)
            except Exception as error:
                self.failure = error

    def _take(self, place: int, profile: Profile, user: User, counter: ItemCounter) -> None:
        record, event = self._new[place]
        if place in self._chosen:
            self.sampled.append(self._inputs.sample(len(self.taken), event, profile, user))
        n, likes = self._others.get(event.itemid, (0, 0))
        self.users.take(profile)
        self.items.append((counter.n + n, counter.likes + likes))
        self.taken.append((record, event))

    def drop(self) -> None:
        """The event whose moment was taken last did not count."""
        if self.failure is not None:
            return
        self.users.drop()
        self.items.pop()
        self.taken.pop()
        if self.sampled and self.sampled[-1].place == len(self.taken):
            self.sampled.pop()


class Inputs:
    """Makes the batches of the feature log, and appends them.

    Args:
        items: the catalogue.
        others: gives what the other shards' counters were in the snapshot, by shard.
        settings: how many events are sampled.
        topics: where the batches go.
        troubles: where failures are reported; none of them stops the fold.

    Attributes:
        table: the catalogue.
    """

    def __init__(
        self,
        items: Mapping[int, Item],
        others: Callable[[int], Others | None],
        settings: DriftSettings,
        topics: DriftTopics,
        troubles: Troubles,
    ) -> None:
        self.table = ItemTable(items)
        self._read_others, self._others = others, dict[int, Others | None]()
        self._scored, self._listed = Sampler(settings.scored_per_s), Sampler(settings.listed_per_s)
        self._topics, self._troubles = topics, troubles

    def begin(self, shard: int, new: Sequence[tuple[Logged, Event]]) -> Batch | None:
        """Begin with a batch of a shard's events that are not folded yet; None where its snapshot is too old for it."""
        if shard not in self._others:
            try:
                self._others[shard] = self._read_others(shard)
            except StoreError:
                raise
            except Exception as error:
                self._troubles.report(DRIFT, f"the snapshot's counters cannot be read: {error}", error=error)
                return None
            if self._others[shard] is None:
                log.warning("drift is not watched: `reelstream publish --reset` writes a snapshot that tells enough")
        others = self._others[shard]
        if others is None:
            return None
        return Batch(self, shard, new, others, set(self._scored.choose(len(new))))

    def sample(self, place: int, event: Event, profile: Profile, user: User) -> Sampled:
        """What is needed to score an event, and now and then to make a list before it."""
        listed = event.liked and bool(self._listed.choose(1))
        values = user_values(profile, self.table.items) if listed else []
        return Sampled(place, user.gender, user.age, user.occupation, profile.n, list(profile.recent), values)

    def log(self, batches: Sequence[Batch]) -> None:
        """Append what was taken to the feature log. A batch that cannot be logged is reported and left out.

        Raises:
            Unreachable: if Kafka does not answer.
        """
        logged = []
        for batch in batches:
            try:
                if batch.failure is not None:
                    raise batch.failure
                if batch.taken:
                    logged.append(self.logged(batch))
            except Exception as error:
                self._troubles.report(
                    DRIFT, f"inputs of events of partition {batch.shard} are not logged: {error!r}", error=error
                )
        if refused := self._topics.log(logged):
            self._troubles.report(
                DRIFT, f"Kafka refuses {len(refused)} messages of the feature log: {refused[0]}", len(refused)
            )

    def logged(self, batch: Batch) -> FeatureBatch:
        """The batch as it is logged."""
        events = np.array([(each.userid, each.itemid, each.rating, each.ts) for _, each in batch.taken], dtype=np.int64)
        userid, itemid, rating, ts = events.T
        n, likes = np.array(batch.items, dtype=np.int64).T
        rows = dense(batch.users.columns(), self.table.columns(itemid, n, likes))
        for row, (record, _) in zip(rows, batch.taken, strict=True):
            broken = Broken.of(record.headers)
            if broken is not None:
                broken.apply(row)
        return FeatureBatch(
            batch.shard,
            np.array([record.offset for record, _ in batch.taken], dtype=np.int64),
            ts,
            userid,
            itemid,
            rating,
            np.array([record.created for record, _ in batch.taken]),
            rows,
            batch.sampled,
        )
