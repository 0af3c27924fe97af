"""The ranker's inputs as they stand before each event of a batch, for the feature log.

An item's counters are the sum over all shards, of which a fold sees one. In a row stand that shard's as of now and the
others' as of the snapshot, so that a row is a function of its partition's log alone: the same whenever, and in whatever
company, the log is folded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np

from features.broken import Broken
from features.catalogue import Item, User
from features.columns import Before, ItemTable, user_values
from features.counters import ItemCounter
from features.event import Event
from features.ids import Id
from features.layer import Items, Layer
from features.profile import Profile
from features.schema import Floats, Schema, dense
from settings import DriftSettings
from stores import DriftTopics, FeatureBatch, Logged, Sampled, StoreError
from stores.kafka.feature_log import ids_array
from stream.fold.sampling import Sampler
from stream.troubles import DRIFT, Troubles

log = logging.getLogger("reelstream.stream")

Others = Mapping[Id, tuple[int, int]]
"""(events, positive ones) of each item in the snapshot's other shards."""


class Moments:
    """The moments before the events of a shard's batch, taken one by one while it is folded.

    Args:
        shard: of the events.
        table: the published catalogue.
        items: the catalogue as the shard knows it, which may change between two events.
        others: the items' counters in the other shards.
        scored: offsets of the events that are to be scored, if they count.
        lists: how many lists are to be made before events.

    Attributes:
        users: states of the users, one for each event.
        items: events and positive ones of the items.
        taken: the events.
        sampled: what is needed to score some of them.
        failure: the error that ended the taking; None while all goes well.
    """

    def __init__(
        self, shard: int, table: ItemTable, items: Items, others: Others, scored: Collection[int], lists: Sampler
    ) -> None:
        self.shard = shard
        self._table, self._others, self._scored, self._lists = table, others, scored, lists
        self._items = items
        self.users = Before(table, items)
        self.items: list[tuple[int, int]] = []
        self.taken: list[tuple[Logged, Event]] = []
        self.sampled: list[Sampled] = []
        self._changed: list[Item | None] = []  # The item at each event, where it is not as published.
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
        is_changed = isinstance(self._items, Layer) and event.itemid in self._items.changed
        self._changed.append(self._items[event.itemid] if is_changed else None)
        self.taken.append((record, event))

    def _sample(self, event: Event, profile: Profile, user: User) -> Sampled:
        """The facts that scoring an event takes, and now and then those that a list before it takes."""
        schema = self._table.schema
        listed = schema.codes.target[event.code] and bool(self._lists.choose(1))
        values = user_values(schema, profile, self._items) if listed else []
        weights = [of_term.copy() for of_term in profile.weights] if listed else []
        return Sampled(len(self.taken), list(user.codes), profile.n, list(profile.recent), values, weights)

    def feature_batch(self, rows: Floats, spoil: bool) -> FeatureBatch:
        """The events with the ranker's inputs before each.

        Args:
            rows: the inputs, FP32 [events, columns].
            spoil: whether the header `broken` of an event spoils a feature (see `drift.spoil_features`).
        """
        schema, events = self._table.schema, [event for _, event in self.taken]
        code, ts = np.array([(event.code, event.ts) for event in events], dtype=np.int64).T
        if spoil:
            for row, (record, _) in zip(rows, self.taken, strict=True):
                broken = Broken.of(record.headers, schema.dense_columns)
                if broken is not None:
                    broken.apply(row, schema.dense_columns)
        return FeatureBatch(
            self.shard,
            np.array([record.offset for record, _ in self.taken], dtype=np.int64),
            ts,
            ids_array([event.userid for event in events], schema.user_ids),
            ids_array([event.itemid for event in events], schema.item_ids),
            code,
            np.array([record.created for record, _ in self.taken]),
            rows,
            self.sampled,
        )

    @staticmethod
    def rows(batches: Sequence[Moments]) -> list[Floats]:
        """The ranker's inputs of some batches, FP32 [events, columns] each; at least one event must be taken.

        All at once, as most of the time goes into numpy's calls, however few rows each is about. An item's attributes
        are those that it had at the event.
        """
        table = batches[0]._table
        itemids = [event.itemid for each in batches for _, event in each.taken]
        users = Before.joined([each.users for each in batches]).columns()
        n, likes = np.array([pair for each in batches for pair in each.items], dtype=np.int64).T
        rows = np.empty((len(itemids), len(table.schema.dense_columns)), dtype=np.float32)
        for of, places in tables(table, [item for each in batches for item in each._changed]):
            column = of.column([itemids[place] for place in places])
            of_users = users if len(places) == len(itemids) else {name: each[places] for name, each in users.items()}
            rows[places] = dense(of.schema, of_users, of.at(column, n[places], likes[places]))
        return np.split(rows, np.cumsum([len(each.taken) for each in batches])[:-1])


def tables(published: ItemTable, changed: Sequence[Item | None]) -> Iterator[tuple[ItemTable, list[int]]]:
    """Catalogues in which items are as they were at some events, and the places of these.

    Args:
        published: the published catalogue.
        changed: the item at each event, None where it is as published.
    """
    if unchanged := [place for place, item in enumerate(changed) if item is None]:
        yield published, unchanged
    groups: list[tuple[dict[Id, Item], list[int]]] = []
    for place, item in enumerate(changed):
        if item is None:
            continue
        fitting = (group for group in groups if group[0].get(item.itemid, item) == item)
        if (group := next(fitting, None)) is None:
            groups.append(group := ({}, []))
        group[0][item.itemid] = item
        group[1].append(place)
    for items, places in groups:
        yield ItemTable(published.schema, items), places


class Inputs:
    """Begins the batches of the feature log, and appends them.

    Args:
        schema: of the data set.
        items: the published catalogue.
        others: gives what the other shards' counters were in the snapshot, by shard.
        settings: how many events are sampled, and whether headers may spoil features.
        topics: where the batches go.
        troubles: where failures are reported; none of them stops the fold.
    """

    def __init__(
        self,
        schema: Schema,
        items: Mapping[Id, Item],
        others: Callable[[int], Others | None],
        settings: DriftSettings,
        topics: DriftTopics,
        troubles: Troubles,
    ) -> None:
        self._table = ItemTable(schema, items)
        self._read_others, self._others = others, dict[int, Others | None]()
        self._scored, self._lists = Sampler(settings.scored_per_s), Sampler(settings.listed_per_s)
        self._spoil = settings.spoil_features
        self._topics, self._troubles = topics, troubles

    def begin(self, shard: int, offsets: Sequence[int], items: Items) -> Moments | None:
        """Begin with a batch of a shard; None where its snapshot is too old for it.

        Args:
            shard: the shard.
            offsets: of the events that are not folded yet, some of which are chosen to be scored.
            items: the catalogue as the shard knows it.

        Raises:
            Unreachable: if Redis does not answer.
        """
        others = self._others_of(shard)
        if others is None:
            return None
        scored = {offsets[place] for place in self._scored.choose(len(offsets))}
        return Moments(shard, self._table, items, others, scored, self._lists)

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
        logged = self._feature_batches([moments for moments in batches if moments.taken or moments.failure])
        if refused := self._topics.log(logged, self._table.schema):
            self._troubles.report(
                DRIFT, f"Kafka refuses {len(refused)} messages of the feature log: {refused[0]}", len(refused)
            )

    def _feature_batches(self, batches: Sequence[Moments]) -> list[FeatureBatch]:
        """The batches to log, without those of which that cannot be had, which is reported."""
        try:
            for moments in batches:
                if moments.failure is not None:
                    raise moments.failure
            return [
                moments.feature_batch(rows, self._spoil)
                for moments, rows in zip(batches, Moments.rows(batches) if batches else [], strict=True)
            ]
        except Exception as error:
            if len(batches) > 1:
                return [logged for moments in batches for logged in self._feature_batches([moments])]
            self._troubles.report(
                DRIFT, f"inputs of events of partition {batches[0].shard} are not logged: {error!r}", error=error
            )
            return []
