"""The state that the stores must hold: the archive and the log up to any position, folded in memory."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from features import (
    Event,
    EventError,
    Id,
    Item,
    ItemChange,
    ItemCounter,
    Layer,
    Profile,
    Row,
    Schema,
    Seen,
    User,
    UserChange,
    item_row,
    merge,
    user_row,
)
from features.broken import HEADER
from offline.data.history import State
from offline.state.epoch_fold import EpochFold
from offline.state.snapshot import Beginning
from stores import Logged, decode_event, partition_of
from stores.archive.whole_log import WholeLog


@dataclass
class Counted:
    """The events of a partition that came to count at once, in the order of the log.

    Those that waited for their items are not among them, as drift knows nothing of these.

    Attributes:
        offset: of each event.
        item: of each event, as it was counted.
        positive: 1 for a positive event, else 0.
        broken: whether an event with the header `broken` is among them.
        gone: whether events of users who were erased are gone, of which some came to count too.
    """

    offset: array[int] = field(default_factory=lambda: array("q"))
    item: list[Item] = field(default_factory=list)
    positive: array[int] = field(default_factory=lambda: array("b"))
    broken: bool = False
    gone: bool = False


class Expected:
    """The state that follows from archive and log, independent of every store but the archive and Kafka.

    Args:
        schema: of the data set.
        beginning: the state that the log follows; folded further in place.
        log: archive and log.
        max_future_s: seconds by which an event may be later than its append time.

    Attributes:
        schema: of the data set.
        begins: by partition, offset of the first event that is not in `beginning`.
        folded: by partition, the offset after the last event folded.
        events: records folded that are valid.
        changes: changes of items and users among them.
        dead: by partition, events that are not valid, by reason.
        counted: by partition, the events that came to count at once.
        made_current: by partition, changes of items of the newest epoch that made an item another one.
        begun_changed: by partition, items that `beginning` has changed already, as that of an adopted state may.
        userids_of_log: users who have an event in the log.
        last: by partition, the last record folded; without partitions of which none is.
        holes: by partition, runs of offsets, as (first, end), between records; a transaction's markers are such.
    """

    def __init__(self, schema: Schema, beginning: Beginning, log: WholeLog, max_future_s: float) -> None:
        self.schema = schema
        self._beginning, self._shards = beginning, beginning.shards
        self._fold = EpochFold(beginning.shards, log.epochs, dict(beginning.next_offsets))
        self._items: Layer | None = None
        self._log = log
        self._max_future_s = max_future_s
        self.begins = beginning.next_offsets
        self.folded = dict(beginning.next_offsets)
        self.events = self.changes = 0
        self.dead = [Counter(dead) for dead in beginning.dead]
        log.seek(self.folded)
        self.counted = [Counted() for _ in beginning.shards.states]
        self.made_current = [0] * len(beginning.shards.states)
        self.begun_changed = [len(state.layer.changed) for state in beginning.shards.states]
        self.userids_of_log: set[Id] = set()
        self.last: dict[int, Logged] = {}
        self.holes: dict[int, list[tuple[int, int]]] = {}

    @property
    def reached(self) -> Beginning:
        """The state as far as it is folded, for a log that goes on from there."""
        return replace(self._beginning, next_offsets=dict(self.folded), dead=[dict(dead) for dead in self.dead])

    @property
    def items(self) -> Layer:
        """The catalogue after the changes of all shards; it is not to be changed."""
        if self._items is None:
            self._items = Layer.merged([state.layer for state in self._shards.states])
        return self._items

    def fold_to(self, ends: Mapping[int, int], folded: Callable[[int], None] = lambda events: None) -> None:
        """Fold the events before `ends`; a partition that is further, or not named, stays where it is.

        Raises:
            Unreachable: if Kafka does not answer.
        """
        ends = {shard: max(at, ends.get(shard, 0)) for shard, at in self.folded.items()}
        if ends == self.folded:
            return
        *ended, newest = self._log.epochs.stages(ends)
        for stage in ended:
            self._fold_to(stage, folded)
        self._fold.finish()
        self._items = None
        self._fold_to(newest, folded)
        # Behind the last event of a partition there may be a transaction's marker, which no reader is given.
        self.folded = newest

    def _fold_to(self, ends: Mapping[int, int], folded: Callable[[int], None]) -> None:
        """Fold the records of an epoch; a user's shard is that of the newest."""
        for batch in self._log.read_to(ends):
            for record in batch:
                try:
                    self._take(record)
                except EventError as error:
                    self.dead[record.partition][str(error)] += 1
                if record.offset > self.folded[record.partition]:
                    self.holes.setdefault(record.partition, []).append((self.folded[record.partition], record.offset))
                self.folded[record.partition] = record.offset + 1
                self.last[record.partition] = record
            folded(sum(self.folded.values()))

    def _take(self, record: Logged) -> None:
        """Fold a record; raises EventError if it is a dead letter."""
        epochs, counted = self._log.epochs, self.counted[record.partition]
        counted.broken = counted.broken or any(name == HEADER for name, _ in record.headers)
        partitions = epochs.spread(record.partition, record.offset)
        event = decode_event(record, self.schema, partitions, self._max_future_s)
        if event is None:
            counted.gone = True
            self._fold.take(record, None)
            return
        shard = self._shards.states[record.partition]
        before = shard.layer.changed.get(event.itemid) if isinstance(event, ItemChange) else None
        counts = self._fold.take(record, event)
        self.events += 1
        if isinstance(event, ItemChange | UserChange):
            self.changes += 1
        if isinstance(event, ItemChange):
            newest = epochs.number(record.partition, record.offset) == len(epochs.ended)
            self.made_current[record.partition] += newest and shard.layer.changed.get(event.itemid) is not before
            self._items = None
            return
        self.userids_of_log.add(event.userid)
        if counts and isinstance(event, Event):
            counted.offset.append(record.offset)
            # The layer's own, of which there is one for each of its revisions.
            counted.item.append(self._state(event.userid).layer[event.itemid])
            counted.positive.append(self.schema.codes.positive[event.code])

    def ends(self) -> Mapping[int, int]:
        """The offset after the last record of each partition, as the log is now.

        Raises:
            Unreachable: if Kafka does not answer.
        """
        return self._log.ends()

    def userids(self) -> set[Id]:
        """Users that have a profile."""
        return {userid for state in self._shards.states for userid in state.profiles}

    def itemids_of_log(self) -> set[Id]:
        """Items of the events of the log that came to count, and those that were changed."""
        counted = {item.itemid for counted in self.counted for item in counted.item}
        return counted | (self.items.changed.keys() & self.items.keys())

    def shard_of(self, userid: Id) -> int:
        """The shard of a user."""
        return partition_of(userid, len(self.folded))

    def user(self, userid: Id) -> tuple[Profile, dict[Id, Seen]] | None:
        """A user's profile and seen filter."""
        state = self._state(userid)
        profile = state.profiles.get(userid)
        return None if profile is None else (profile, state.seen[userid])

    def user_row(self, userid: Id) -> Row | None:
        """A user's feature row."""
        state = self._state(userid)
        profile = state.profiles.get(userid)
        return None if profile is None else user_row(self.schema, profile, state.user(userid), state.layer)

    def users(self, shard: int) -> Iterator[User]:
        """The users of a shard of whom something is known."""
        return self._shards.users(shard)

    def layer(self, shard: int) -> Layer:
        """The items as a shard knows them."""
        return self._shards.states[shard].layer

    def waiting(self, shard: int) -> Mapping[Id, Sequence[tuple[int, Event]]]:
        """The events that wait in a shard, each with its offset, by item."""
        return self._shards.states[shard].waiting

    def erased(self, shard: int) -> Set[Id]:
        """Users of a shard who were erased."""
        return self._shards.states[shard].erased

    def counters(self, shard: int) -> Mapping[Id, ItemCounter]:
        """A shard's part of the item counters."""
        return self._shards.states[shard].counters

    def item_row(self, itemid: Id) -> Row | None:
        """An item's feature row; None where no shard knows it."""
        if itemid not in self.items:
            return None
        partials = (state.counters[itemid] for state in self._shards.states if itemid in state.counters)
        return item_row(self.schema, merge(partials), self.items[itemid])

    def _state(self, userid: Id) -> State:
        return self._shards.states[self.shard_of(userid)]
