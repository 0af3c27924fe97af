"""The catalogue as the changes of items leave it in each partition, and the events that wait for their item.

* A partition knows the items of the history, and those of which a change that gives attributes has come in it. Its
  attributes are those of the greatest such change, else of the history. An item is withdrawn while the greatest of all
  its changes withdraws it.
* An event of an item that its partition does not know waits, and counts from the change on that brings the item, in
  the order in which those that wait came. Where too many wait already, it counts for nothing.
* What waits of a user is gone once the user is erased.
* Where partitions were added to the log, each partition begins with the changes of all that there were before; what
  waits goes to the partition that its user has from then on, ordered by partition and offset, and counts from there on
  where its item is known by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from verify.oracle.changes import ItemChange
from verify.oracle.rules import Id, Past


@dataclass(frozen=True, eq=False)
class Met:
    """A change as a partition met it.

    Attributes:
        epoch, shard, place: where in the log.
        change: the change.
    """

    epoch: int
    shard: int
    place: int
    change: ItemChange


class Catalogue:
    """All changes of items."""

    def __init__(self) -> None:
        self._met: dict[Id, list[Met]] = {}

    def take(self, epoch: int, shard: int, place: int, change: ItemChange) -> None:
        """Take a change."""
        self._met.setdefault(change.itemid, []).append(Met(epoch, shard, place, change))

    def met(self, itemid: Id, epoch: int, shard: int, upto: int) -> list[ItemChange]:
        """The changes of an item that count in a partition up to a place, in the order in which they came."""
        return [
            met.change
            for met in self._met.get(itemid, ())
            if met.epoch < epoch or (met.epoch == epoch and met.shard == shard and met.place <= upto)
        ]


def content(met: Sequence[ItemChange]) -> ItemChange | None:
    """The one of some changes that gives an item its attributes; None where none does."""
    return max((change for change in met if change.attributes is not None), key=_order, default=None)


def greatest(met: Sequence[ItemChange]) -> ItemChange | None:
    """The one of some changes that decides about an item; None where there is none."""
    return max(met, key=_order, default=None)


def _order(change: ItemChange) -> tuple[int, str]:
    return change.order


@dataclass(frozen=True)
class Waiting:
    """An event that waits.

    Attributes:
        offset: of its record.
        event: the event.
    """

    offset: int
    event: Past


class WaitingRoom:
    """The events that wait in each partition, in the order in which they came.

    Args:
        most: how many may wait in a partition.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._of_shard: dict[int, list[Waiting]] = {}

    def take(self, shard: int, offset: int, event: Past) -> bool:
        """Take an event; False where too many wait already."""
        waiting = self._of_shard.setdefault(shard, [])
        if len(waiting) >= self._most:
            return False
        waiting.append(Waiting(offset, event))
        return True

    def erase(self, shard: int, userid: Id) -> None:
        """Take out what waits of a user."""
        self._of_shard[shard] = [each for each in self._of_shard.get(shard, ()) if each.event.userid != userid]

    def release(self, shard: int, ready: Callable[[Past], bool]) -> list[Past]:
        """Take out those events that need not wait any more."""
        waiting = self._of_shard.get(shard, [])
        self._of_shard[shard] = [each for each in waiting if not ready(each.event)]
        return [each.event for each in waiting if ready(each.event)]

    def move(self, shard_of: Callable[[Id], int]) -> None:
        """Put everything into the partition that its user has now."""
        former = self._of_shard
        self._of_shard = {}
        for shard in sorted(former):
            for each in former[shard]:
                self._of_shard.setdefault(shard_of(each.event.userid), []).append(each)

    def shards(self) -> list[int]:
        """The partitions in which events wait."""
        return sorted(shard for shard, waiting in self._of_shard.items() if waiting)

    def counts(self, shard: int) -> dict[Id, int]:
        """The number of events that wait in a partition, by item."""
        return _counted(each.event.itemid for each in self._of_shard.get(shard, ()))


def _counted(itemids: Iterable[Id]) -> dict[Id, int]:
    found: dict[Id, int] = {}
    for itemid in itemids:
        found[itemid] = found.get(itemid, 0) + 1
    return found
