"""The counters of all items as they were before an event that is folded already."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from features import merge
from features.schema import Ints
from stores import Profiles

EVERY_S = 5.0
"""Seconds between two reads; for a large catalogue COST times as long as a read takes."""

COST = 50.0

KEPT = 12
"""Reads kept: events that are scored within a minute of being folded find one from before them."""


@dataclass(frozen=True)
class _Read:
    """Counters by place in the itemids, and the last offset of each shard that may be counted in them."""

    applied: list[int | None]
    n: Ints
    likes: Ints


class EarlierCounters:
    """Reads the counters now and then, each read with the offsets that it may include.

    A list made after an event must not know of the event. Redis holds the counters as of now only, so an event is
    given the latest read that was over before the event was folded.

    Args:
        profiles: the state in Redis.
        itemids: the catalogue, ascending.
        clock: gives seconds.
    """

    def __init__(self, profiles: Profiles, itemids: Sequence[int], clock: Callable[[], float] = time.monotonic) -> None:
        self._profiles, self._clock = profiles, clock
        self._itemids = np.array(itemids, dtype=np.int64)
        self._reads: deque[_Read] = deque(maxlen=KEPT)
        self._due = 0.0

    def read(self) -> None:
        """Read all counters, unless that was done a moment ago.

        Raises:
            Unreachable: if Redis does not answer.
        """
        began = self._clock()
        if began < self._due:
            return
        itemids = self._itemids.tolist()
        partials = self._profiles.counters(itemids) if itemids else {}
        totals = [merge(partials.get(itemid, [])) for itemid in itemids]
        # The offsets after the counters: an event folded between the two is taken for included.
        self._reads.append(
            _Read(
                self._profiles.applied(),
                np.array([total.n for total in totals], dtype=np.int64),
                np.array([total.likes for total in totals], dtype=np.int64),
            )
        )
        ended = self._clock()
        self._due = ended + max(EVERY_S, COST * (ended - began))

    def before(self, partition: int, offset: int, itemids: Ints) -> tuple[Ints, Ints] | None:
        """(ratings, likes) of some items, INT64 [N] each, read before an event was folded; None without such a read."""
        for read in reversed(self._reads):
            applied = read.applied[partition]
            if applied is not None and applied < offset:
                place = np.searchsorted(self._itemids, itemids)
                return read.n[place], read.likes[place]
        return None
