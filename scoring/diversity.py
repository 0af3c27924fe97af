"""Diversity: lists with at most so many items of each value of some attributes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from features.columns import ItemTable
from features.schema import Ints
from scoring.order import NO_ITEM, Lists
from scoring.restriction import AtMost, Restriction

Values = tuple[tuple[int, int], ...]
"""The values of an item that are counted: (place of the limit, code)."""


@dataclass(frozen=True)
class Kinds:
    """The items of a list by their kind: those of one kind have the same values, as far as limits count them.

    Attributes:
        kind: of each item, INT64 [N].
        values: of each kind.
        most: how many items may have the same value, for each limit.
    """

    kind: Ints
    values: Sequence[Values]
    most: Sequence[int]

    @classmethod
    def of(cls, at_most: Sequence[AtMost], table: ItemTable, column: Ints) -> Kinds:
        """The kinds of the items at some columns, INT64 [N], that some limits tell apart."""
        kind = np.zeros(len(column), dtype=np.int64)
        values: list[Values] = [()]
        for number, limit in enumerate(at_most):
            of_items, codes = table.kinds(limit.attribute)
            both, kind = np.unique(kind * len(codes) + of_items[column], return_inverse=True)
            before, own = (part.tolist() for part in np.divmod(both, len(codes)))
            values = [
                values[one] + tuple((number, code) for code in codes[other])
                for one, other in zip(before, own, strict=True)
            ]
        return cls(kind, values, [limit.items for limit in at_most])

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def exclusive(self) -> bool:
        """True if no item has more than one value, so that each counts to one limit of one value."""
        return max(map(len, self.values), default=0) <= 1

    @cached_property
    def _by_value(self) -> dict[tuple[int, int], list[int]]:
        """The kinds that have a value."""
        by_value: dict[tuple[int, int], list[int]] = {}
        for kind, values in enumerate(self.values):
            for value in values:
                by_value.setdefault(value, []).append(kind)
        return by_value

    def sparing_order(self, recalled: Ints | None = None) -> list[int]:
        """Places of all items: those of the fewest values first, then by their places in `recalled`, else their own."""
        n = np.array([len(values) for values in self.values], dtype=np.int64)[self.kind]
        order: list[int] = np.lexsort((np.arange(len(self)) if recalled is None else recalled, n)).tolist()
        return order

    def taken(self, order: Iterable[int], size: int) -> list[int]:
        """The first `size` places of an order, each once, that all limits allow."""
        allowed, counts = [True] * len(self.values), Counter[tuple[int, int]]()
        kind: list[int] = self.kind.tolist()
        taken = dict[int, None]()
        for place in order:
            if len(taken) == size:
                break
            if not allowed[kind[place]] or place in taken:
                continue
            taken[place] = None
            for value in self.values[kind[place]]:
                counts[value] += 1
                if counts[value] == self.most[value[0]]:
                    for full in self._by_value[value]:
                        allowed[full] = False
        return list(taken)


def first(
    lists: Lists,
    restrictions: Sequence[Restriction],
    table: ItemTable,
    size: int | None,
    recalled: Ints | None = None,
) -> tuple[Lists, Ints]:
    """The first `size` entries of B lists, without those that one of the limits in its list's restriction keeps out.

    Args:
        lists: the lists.
        restrictions: of each; none where none has limits.
        table: the catalogue.
        size: longest list; None: no longest.
        recalled: of each entry its place among the candidates, INT64 [B, K]; None: its place in the list.

    Returns:
        The lists, and the place of each entry in the list given, INT64 [B, K]; 0 behind the end of a list.
    """
    short = lists.first(size)
    place = np.broadcast_to(np.arange(short.column.shape[1]), short.column.shape)
    if not any(restriction.at_most for restriction in restrictions):
        return short, place
    column, score, place = short.column.copy(), short.score.copy(), place.copy()
    for row, restriction in enumerate(restrictions):
        if restriction.at_most:
            entries = lists.column[row][lists.column[row] != NO_ITEM]
            order = None if recalled is None else recalled[row, : len(entries)]
            chosen = diverse(Kinds.of(restriction.at_most, table, entries), column.shape[1], order)
            end = len(chosen)
            column[row, :end], column[row, end:] = entries[chosen], NO_ITEM
            score[row, :end], score[row, end:] = lists.score[row, chosen], -np.inf
            place[row, :end], place[row, end:] = chosen, 0
    return Lists(column, score), place


def diverse(items: Kinds, size: int, recalled: Ints | None = None) -> list[int]:
    """Places of the items of a list, in their order: the first that all limits allow.

    Where no item has two values, the list is as long as any can be. Else an item of many values may keep out several
    others. Then only half of the first items stay, or a quarter and so on, and those of the fewest values come next, if
    that makes the list longer; it is at least as long as `sparing` makes it of the items as they were recalled.

    Args:
        items: best first.
        size: longest list.
        recalled: of each its place in the order in which they were recalled, INT64 [N]; None: that of the list.

    >>> brands = Kinds(np.arange(4), [((0, 1), (0, 2)), ((0, 1),), ((0, 2),), ((0, 3),)], [1])
    >>> diverse(brands, 2), diverse(brands, 3)
    ([0, 3], [1, 2, 3])
    """
    best = head = items.taken(range(len(items)), size)
    if len(best) == size or items.exclusive:
        return best
    order, kept = items.sparing_order(recalled), len(head)
    while len(best) < size and kept:
        kept //= 2
        longer = items.taken([*head[:kept], *order], size)
        if len(longer) > len(best):
            best = longer
    return sorted(best)


def sparing(items: Kinds, size: int) -> list[int]:
    """Places of at most `size` items that all limits allow, where those of the fewest values are taken first."""
    return items.taken(items.sparing_order(), size)
