"""Events that wait for their items: a shard that does not know an item keeps its events until a change brings it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import TypeVar

from features.errors import EventError
from features.ids import Id

TOO_MANY = "item is not in the catalogue, and catalogue.waiting_events wait already"
"""Reason of the dead letter of an event beyond those that may wait."""


E = TypeVar("E", bound=tuple[object, ...])


def wait(waiting: MutableMapping[Id, list[E]], itemid: Id, entry: E, most: int) -> None:
    """Let an event wait for its item, in place; one that waits already waits once.

    Args:
        waiting: the events of a shard that wait, by item, in the order of the log.
        itemid: of the event's item.
        entry: the event; the first element is its offset.
        most: how many events of the shard may wait.

    Raises:
        EventError: if as many wait already.
    """
    if any(other[0] == entry[0] for other in waiting.get(itemid, ())):
        return
    if number_waiting(waiting) >= most:
        raise EventError(TOO_MANY)
    waiting.setdefault(itemid, []).append(entry)


def erase_waiting(waiting: MutableMapping[Id, list[E]], of_user: Callable[[E], bool]) -> None:
    """Take the events of a user out of those that wait, in place; `of_user` is true for them."""
    for itemid, entries in [*waiting.items()]:
        kept = [entry for entry in entries if not of_user(entry)]
        if len(kept) < len(entries):
            if kept:
                waiting[itemid] = kept
            else:
                del waiting[itemid]


def number_waiting(waiting: Mapping[Id, list[E]]) -> int:
    """The number of events that wait."""
    return sum(map(len, waiting.values()))
