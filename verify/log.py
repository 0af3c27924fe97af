"""The state that the stores must hold: the archive and the log up to any position, folded in memory."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field, replace

from features import Event, EventError, Item, ItemCounter, Profile, Rated, Row, item_row, merge, user_row
from features.broken import HEADER
from offline.state.snapshot import Beginning
from stores import Logged, decode_event, partition_of
from stores.archive.whole_log import WholeLog


@dataclass
class Counted:
    """The events of a partition that came to count, in the order of the log.

    Attributes:
        offset, itemid, liked: of each event.
        broken: whether an event with the header `broken` is among them.
        gone: whether events of users who were erased are gone, of which some came to count too.
    """

    offset: array[int] = field(default_factory=lambda: array("q"))
    itemid: array[int] = field(default_factory=lambda: array("l"))
    liked: array[int] = field(default_factory=lambda: array("b"))
    broken: bool = False
    gone: bool = False


class Expected:
    """The state that follows from archive and log, independent of every store but the archive and Kafka.

    Args:
        beginning: the state that the log follows; folded further in place.
        items: the catalogue.
        log: archive and log.
        max_future_s: seconds by which an event may be later than its append time.

    Attributes:
        begins: by partition, offset of the first event that is not in `beginning`.
        folded: by partition, the offset after the last event folded.
        events: events folded.
        dead: by partition, events that are not valid, by reason.
        counted: by partition, the events that came to count.
        userids_of_log: users who have an event in the log.
        last: by partition, the last record folded; without partitions of which none is.
        holes: by partition, runs of offsets, as (first, end), between records; a transaction's markers are such.
    """

    def __init__(self, beginning: Beginning, items: Mapping[int, Item], log: WholeLog, max_future_s: float) -> None:
        self._beginning, self._shards = beginning, beginning.shards
        self._items = items
        self._log = log
        self._max_future_s = max_future_s
        self.begins = beginning.next_offsets
        self.folded = dict(beginning.next_offsets)
        self.events = 0
        self.dead = [Counter(dead) for dead in beginning.dead]
        log.seek(self.folded)
        self.counted = [Counted() for _ in beginning.shards.states]
        self.userids_of_log: set[int] = set()
        self.last: dict[int, Logged] = {}
        self.holes: dict[int, list[tuple[int, int]]] = {}

    @property
    def reached(self) -> Beginning:
        """The state as far as it is folded, for a log that goes on from there."""
        return replace(self._beginning, next_offsets=dict(self.folded), dead=[dict(dead) for dead in self.dead])

    @property
    def items(self) -> Mapping[int, Item]:
        """The catalogue."""
        return self._items

    def fold_to(self, ends: Mapping[int, int], folded: Callable[[int], None] = lambda events: None) -> None:
        """Fold the events before `ends`; a partition that is further, or not named, stays where it is.

        Raises:
            Unreachable: if Kafka does not answer.
        """
        ends = {shard: max(at, ends.get(shard, 0)) for shard, at in self.folded.items()}
        if ends == self.folded:
            return
        stages = self._log.epochs.stages(ends)
        for stage in stages:
            self._fold_to(stage, folded)
        # Behind the last event of a partition there may be a transaction's marker, which no reader is given.
        self.folded = stages[-1]

    def _fold_to(self, ends: Mapping[int, int], folded: Callable[[int], None]) -> None:
        """Fold the events of an epoch; a user's shard is that of the newest."""
        epochs, shard_of = self._log.epochs, self.shard_of
        for batch in self._log.read_to(ends):
            for record in batch:
                counted = self.counted[record.partition]
                counted.broken = counted.broken or any(name == HEADER for name, _ in record.headers)
                try:
                    partitions = epochs.spread(record.partition, record.offset)
                    event = decode_event(record, self._items, partitions, self._max_future_s)
                except EventError as error:
                    self.dead[record.partition][str(error)] += 1
                else:
                    if event is None:
                        counted.gone = True
                    else:
                        if self._shards.states[shard_of(event.userid)].take(event) and isinstance(event, Event):
                            counted.offset.append(record.offset)
                            counted.itemid.append(event.itemid)
                            counted.liked.append(event.liked)
                        self.events += 1
                        self.userids_of_log.add(event.userid)
                if record.offset > self.folded[record.partition]:
                    self.holes.setdefault(record.partition, []).append((self.folded[record.partition], record.offset))
                self.folded[record.partition] = record.offset + 1
                self.last[record.partition] = record
            folded(sum(self.folded.values()))

    def ends(self) -> Mapping[int, int]:
        """The offset after the last record of each partition, as the log is now.

        Raises:
            Unreachable: if Kafka does not answer.
        """
        return self._log.ends()

    def userids(self) -> set[int]:
        """Users that have a profile."""
        return {userid for state in self._shards.states for userid in state.profiles}

    def itemids_of_log(self) -> set[int]:
        """Items of the events of the log that came to count."""
        return {itemid for counted in self.counted for itemid in counted.itemid}

    def shard_of(self, userid: int) -> int:
        """The shard of a user."""
        return partition_of(userid, len(self.folded))

    def user(self, userid: int) -> tuple[Profile, dict[int, Rated]] | None:
        """A user's profile and seen filter."""
        state = self._shards.states[self.shard_of(userid)]
        profile = state.profiles.get(userid)
        return None if profile is None else (profile, state.seen[userid])

    def user_row(self, userid: int) -> Row | None:
        """A user's feature row."""
        state = self._shards.states[self.shard_of(userid)]
        profile = state.profiles.get(userid)
        return None if profile is None else user_row(profile, state.user(userid), self._items)

    def erased(self, shard: int) -> Set[int]:
        """Users of a shard who were erased."""
        return self._shards.states[shard].erased

    def counters(self, shard: int) -> Mapping[int, ItemCounter]:
        """A shard's part of the item counters."""
        return self._shards.states[shard].counters

    def item_row(self, itemid: int) -> Row | None:
        """An item's feature row; None where the catalogue does not have it."""
        if itemid not in self._items:
            return None
        partials = (state.counters[itemid] for state in self._shards.states if itemid in state.counters)
        return item_row(merge(partials), self._items[itemid])
