"""Discoveries: the events by which users come to items that they then like, which is what lists are to foretell.

A user may view an item, put it in the cart and buy it: three events, of which a list could foretell the first alone,
for after it the item is known, and mostly hidden. So what counts is the user's first event with the item of all, where
one of the events with it in the same part of the data is a positive event of a type that is a target. Of ratings, of
which there is one for a user and an item, each like is a discovery.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Discoveries:
    """Finds discoveries among some of the events.

    Args:
        pair: number of each event's user and item, INT64 [events].
        rank: place of each event in the order of time, INT64 [events].
        target: True for a positive event of a type that is a target, [events].

    Attributes:
        rank: the same.

    >>> target = np.array([False, True, True, False])
    >>> found = Discoveries(np.array([1, 2, 1, 2]), np.arange(4), target)
    >>> found.among(np.arange(4), np.arange(4)).tolist(), found.among(np.array([2, 3]), np.arange(2)).tolist()
    ([True, True, False, False], [False, False])
    """

    def __init__(self, pair: Ints, rank: Ints, target: Bools) -> None:
        self._pair, self.rank, self._target = pair, rank, target

    def among(self, places: Ints, order: Ints) -> Bools:
        """Tell for each event whether it is a discovery, as far as these events tell; [places].

        Args:
            places: of the events, INT64; of a user and an item, no other events between them.
            order: which of the events of a user and an item comes first, INT64 [places].
        """
        if self._distinct:
            return self._target[places]
        sort = np.lexsort((order, self._pair[places]))
        pair = self._pair[places][sort]
        begins = np.ones(len(pair), dtype=bool)
        begins[1:] = pair[1:] != pair[:-1]
        out = np.zeros(len(places), dtype=bool)
        if len(places):
            liked = np.logical_or.reduceat(self._target[places][sort], np.flatnonzero(begins))
            out[sort[begins]] = liked & ~self._met(places)[pair[begins]]
        return out

    @cached_property
    def _distinct(self) -> bool:
        """True if no user has two events with an item."""
        return len(np.unique(self._pair)) == len(self._pair)

    def _met(self, places: Ints) -> Bools:
        """True for each pair with an event before those at `places`, [pairs]."""
        never = len(self._pair)
        earliest, first = (np.full(int(self._pair.max()) + 1, never) for _ in range(2))
        others = np.ones(len(self._pair), dtype=bool)
        others[places] = False
        np.minimum.at(earliest, self._pair[others], self.rank[others])
        np.minimum.at(first, self._pair[places], self.rank[places])
        met: Bools = earliest < first
        return met
