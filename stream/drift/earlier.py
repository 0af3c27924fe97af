"""The counters of all items as they were before an event that is folded already."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from features.columns import ItemTable
from features.counters import ItemCounter
from scoring import RecentCounters
from scoring.counters import COLUMNS
from stores import KnownCounters, Profiles

EVERY_S = 5.0
"""Seconds between two reads; for a large catalogue COST times as long as a read takes."""

COST = 50.0

NO_EVENTS = ItemCounter()

KEPT = 12
"""Reads kept: events that are scored within a minute of being folded find one from before them."""


@dataclass(frozen=True)
class Earlier:
    """The items of a moment.

    Attributes:
        table: the items that lists may have, as columns.
        counters: their counters, by column.
    """

    table: ItemTable
    counters: RecentCounters


@dataclass(frozen=True)
class _Read:
    """Items, and the last offset of each shard that may be counted in their counters."""

    applied: list[int | None]
    items: Earlier


class EarlierCounters:
    """Reads the counters now and then, each read with the offsets that it may include.

    A list made after an event must not know of the event. Redis holds the counters as of now only, so an event is
    given the latest read that was over before the event was folded.

    Args:
        profiles: the state in Redis.
        table: gives the items that lists may have by now.
        half_life_days: half-life of recent popularity, in days of event time.
        clock: gives seconds.
    """

    def __init__(
        self,
        profiles: Profiles,
        table: Callable[[], ItemTable],
        half_life_days: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._profiles, self._half_life_days, self._clock = profiles, half_life_days, clock
        self._table, self._known = table, KnownCounters(profiles)
        self._reads: deque[_Read] = deque(maxlen=KEPT)
        self._due = 0.0

    def read(self) -> None:
        """Read all items and their counters, unless that was done a moment ago.

        Raises:
            Unreachable: if Redis does not answer.
            Unreadable: if an item that was changed cannot be read.
        """
        began = self._clock()
        if began < self._due:
            return
        table, known = self._table(), self._known.read()
        totals = [known.get(itemid, NO_EVENTS) for itemid in table.itemids]
        columns = {name: np.array([getattr(total, name) for total in totals], dtype=np.int64) for name in COLUMNS}
        # The offsets after the counters: an event folded between the two is taken for included.
        counters = RecentCounters(**columns, half_life_days=self._half_life_days)
        self._reads.append(_Read(self._profiles.applied(), Earlier(table, counters)))
        ended = self._clock()
        self._due = ended + max(EVERY_S, COST * (ended - began))

    def before(self, partition: int, offset: int) -> Earlier | None:
        """The items as read before an event was folded; None without such a read."""
        for read in reversed(self._reads):
            applied = read.applied[partition]
            if applied is not None and applied < offset:
                return read.items
        return None
