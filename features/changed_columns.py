"""The columns of a catalogue in which some items changed, made from those before."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Container, Mapping
from itertools import compress
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from features.catalogue import Item
from features.columns import ItemTable
from features.ids import Id, ascending

Array = TypeVar("Array", bound=npt.NDArray[Any])


class ChangedTable(ItemTable):
    """The columns of a catalogue in which items changed, came or went; only these are looked at.

    All that the columns before had worked out is carried over, so that the first who asks for it does not wait.

    Args:
        former: the columns before.
        items: the catalogue now. It may hold items without a column, such as withdrawn ones.
        changed: items that may have changed.
        without: items that have no column now.

    Attributes:
        added: the changed items that have a column now, ascending.
    """

    def __init__(
        self, former: ItemTable, items: Mapping[Id, Item], changed: Collection[Id], without: Container[Id]
    ) -> None:
        self.schema, self.items = former.schema, items
        changed = {*changed}
        self.added = tuple(ascending(itemid for itemid in changed if itemid in items and itemid not in without))
        self._kept = np.ones(len(former), dtype=bool)
        self._kept[[former._column[itemid] for itemid in changed if itemid in former._column]] = False
        kept: list[Any] = list(compress(former.itemids, self._kept.tolist()))
        self._places = [bisect_left(kept, itemid) for itemid in self.added]
        self._take_ids(former, kept)
        self._take_values(former, ItemTable(self.schema, {itemid: items[itemid] for itemid in self.added}))

    def _take_ids(self, former: ItemTable, kept: list[Any]) -> None:
        if len(kept) + len(self.added) == len(former) and all(itemid in former._column for itemid in self.added):
            self.itemids, self._column = former.itemids, former._column
            return
        # Two ascending runs, which take one pass to sort.
        self.itemids = tuple(sorted([*kept, *self.added]))
        self._column = {itemid: column for column, itemid in enumerate(self.itemids)}

    def _take_values(self, former: ItemTable, added: ItemTable) -> None:
        self.attributes = {
            name: self.carry(values, added.attributes[name]) for name, values in former.attributes.items()
        }
        # Others may be asking the former columns meanwhile, which then keep more.
        self._codes = {name: self.carry(codes, added.codes(name)) for name, codes in list(former._codes.items())}
        self._numbers = {name: self.carry(each, added.numbers(name)) for name, each in list(former._numbers.items())}
        self._kinds = {}
        for name, (numbers, values) in list(former._kinds.items()):
            of_added, values_of_added = added.kinds(name)
            kinds = {value: number for number, value in enumerate(values)}
            renumbered = [kinds.setdefault(value, len(kinds)) for value in values_of_added]
            new = np.array([renumbered[number] for number in of_added], dtype=np.int64)
            self._kinds[name] = self.carry(numbers, new), list(kinds)
        if "terms" in vars(former):
            vars(self)["terms"] = self.carry(former.terms, added.terms, axis=1)

    def carry(self, former: Array, added: npt.NDArray[Any], axis: int = 0) -> Array:
        """An array over the columns before as one over the columns now.

        Args:
            former: the array.
            added: its values for `added`.
            axis: the one of the columns.
        """
        kept = np.compress(self._kept, former, axis=axis)
        return cast(Array, np.insert(kept, self._places, added, axis=axis))
