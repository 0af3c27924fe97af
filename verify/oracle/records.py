"""The records of the log: which of them count, from where on, and under which attributes of their item.

What waits is known as of the last record that was taken; all else as of any offset before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from verify.oracle.catalogue import Catalogue, WaitingRoom, content
from verify.oracle.changes import Attributes, ItemChange
from verify.oracle.counting import Came
from verify.oracle.history import History
from verify.oracle.murmur import partition
from verify.oracle.rules import Id, Past

ARCHIVE = -(10**30)
"""Stands for the offset of what came before the log: before that of any record."""

EPOCH = 10**20
"""More than a partition has offsets."""

MOST_WAITING = 10_000
"""Events of unknown items that wait in a partition at most, unless it is given."""


class Records:
    """The records of the log, of some users and items.

    Args:
        history: what there is before the log.
        partitions: of the log.
        users, items: ids to watch.
        max_future_s: seconds by which an event may be later than its record; None for any.
        epochs: how the log was spread over fewer partitions before: for each epoch that has ended, their number, and
            the offset of each after its last record. Records of an epoch are taken before those of a later one.
        waiting_events: how many events of unknown items may wait in a partition.

    Attributes:
        dead: by partition, the offsets of records that count for nothing.
        gone: True once events of users who were erased are missing.
    """

    def __init__(
        self,
        history: History,
        partitions: int,
        users: Collection[Id],
        items: Collection[Id],
        max_future_s: float | None = None,
        epochs: Sequence[tuple[int, Sequence[int]]] = (),
        waiting_events: int = MOST_WAITING,
    ) -> None:
        self._partitions, self._max_future_s, self._epochs = partitions, max_future_s, epochs
        self._rules, self._items, self._users = history.rules, history.items, history.users
        self._changes, self._catalogue = history.changes, Catalogue()
        self._room, self._epoch = WaitingRoom(waiting_events), 0
        self._of_user: dict[Id, list[Came]] = {userid: [] for userid in users}
        self._of_item: dict[Id, list[Came]] = {itemid: [] for itemid in items}
        self._erasures: dict[Id, list[int]] = {}
        self._user_changes: dict[Id, list[tuple[int, Attributes]]] = {}
        self.gone = False
        self.dead: list[list[int]] = [[] for _ in range(partitions)]
        for some in history.events.values():
            for event in some:
                self._keep(ARCHIVE, event, None)

    def take(self, shard: int, offset: int, key: bytes | None, value: bytes | None, appended_s: float) -> None:
        """Take the next record of a partition."""
        epoch, place = self._place(shard, offset)
        self._begin(epoch)
        change = self._changes.item(key, value)
        if change is not None:
            self._catalogue.take(epoch, shard, place, change)
            self._release(shard, place)
            return
        in_place = key is not None and partition(key, self._spread(epoch)) == shard
        erased = self._rules.erased(key, value) if in_place else None
        changed = self._changes.user(key, value) if in_place else None
        event = self._rules.event(key, value) if in_place else None
        if erased is not None:
            self._erasures.setdefault(erased, []).append(place)
            self._room.erase(shard, erased)
        elif changed is not None:
            userid, attributes = changed
            self._user_changes.setdefault(userid, []).append((place, attributes))
        elif event is None or not self._in_time(event, appended_s):
            self.dead[shard].append(offset)
        elif self._knows(event.itemid, shard, place):
            self._keep(place, event, self._content(event.itemid, shard, place))
        elif not self._room.take(shard, offset, event):
            self.dead[shard].append(offset)

    def pass_over(self, shard: int, offset: int, dead: bool) -> None:
        """Take the next record of a partition, of a user who was erased, of which only this is left."""
        self.gone = True
        if dead:
            self.dead[shard].append(offset)

    def _place(self, shard: int, offset: int) -> tuple[int, int]:
        """(epoch, place) of a record: its place is before the offsets of the newest epoch where it is of another."""
        for epoch, (_, ends) in enumerate(self._epochs):
            if shard < len(ends) and offset < ends[shard]:
                return epoch, offset - EPOCH * (len(self._epochs) - epoch)
        return len(self._epochs), offset

    def _spread(self, epoch: int) -> int:
        """Number of partitions that the records of an epoch are spread over."""
        return self._epochs[epoch][0] if epoch < len(self._epochs) else self._partitions

    def _begin(self, epoch: int) -> None:
        """Begin an epoch, where it has not begun: what waits moves, and counts where its item is known by then."""
        while self._epoch < epoch:
            self._epoch += 1
            number = self._spread(self._epoch)
            self._room.move(lambda userid, number=number: _partition(userid, number))  # type: ignore[misc]
            place = -1 - EPOCH * (len(self._epochs) - self._epoch)
            for shard in self._room.shards():
                self._release(shard, place)

    def _release(self, shard: int, place: int) -> None:
        """Count the events of a partition that wait for an item which is known at a place."""
        for event in self._room.release(shard, lambda event: self._knows(event.itemid, shard, place)):
            self._keep(place, event, self._content(event.itemid, shard, place))

    def _knows(self, itemid: Id, shard: int, place: int) -> bool:
        return itemid in self._items or self._content(itemid, shard, place) is not None

    def _content(self, itemid: Id, shard: int, place: int) -> ItemChange | None:
        """The change from which an item has its attributes in a partition at a place of the epoch that has begun."""
        return content(self._catalogue.met(itemid, self._epoch, shard, place))

    def _in_time(self, event: Past, appended_s: float) -> bool:
        return self._max_future_s is None or appended_s <= 0 or event.ts <= appended_s + self._max_future_s

    def _keep(self, place: int, event: Past, change: ItemChange | None) -> None:
        if event.userid not in self._of_user and event.itemid not in self._of_item:
            return
        came = Came(
            _partition(event.userid, self._partitions),
            place,
            event.userid,
            event.itemid,
            event.code,
            event.ts,
            self._rules.type_of(event.code),
            self._rules.positive(event.code),
            change,
        )
        for events in (self._of_user.get(event.userid), self._of_item.get(event.itemid)):
            if events is not None:
                events.append(came)

    def _came(self, events: Iterable[Came], upto: int) -> list[Came]:
        """Those events that came up to an offset, without those of users who were erased after them."""
        self._begin(len(self._epochs))
        return [
            event
            for event in events
            if event.offset <= upto
            and not any(event.offset < erased <= upto for erased in self._erasures.get(event.userid, ()))
        ]

    def _met(self, itemid: Id, shard: int, upto: int) -> list[ItemChange]:
        """The changes of an item that a shard has met up to an offset."""
        self._begin(len(self._epochs))
        return self._catalogue.met(itemid, self._epoch, shard, upto)

    def _met_by_any(self, itemid: Id, upto: Sequence[int]) -> list[ItemChange]:
        """The changes of an item that any shard has met, each up to its own offset."""
        return [change for shard, at in enumerate(upto) for change in self._met(itemid, shard, at)]

    def waiting(self, shard: int) -> dict[Id, int]:
        """The number of events that wait in a shard for each item, after the last record that was taken."""
        self._begin(len(self._epochs))
        return self._room.counts(shard)

    def knows(self, userid: Id, itemid: Id, shard: int, offset: int) -> bool:
        """Return True if a record is a valid event of a watched user about an item."""
        known = ((event.itemid, event.shard, event.offset) for event in self._of_user[userid])
        return (itemid, shard, offset) in known


def _partition(userid: Id, partitions: int) -> int:
    return partition(str(userid).encode(), partitions)
