"""Values of pairs of items: for each item those of the pairs in which they are largest, and 0 for all others.

Values of all pairs would be as many as the items squared: 300 GB for 400,000 items. An item is kept with KEPT others
for each table of values, and with fewer where there are more than MOST pairs then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from scipy.sparse import csr_array  # type: ignore[import-untyped]
from torch import Tensor, nn

from offline.data.history import Floats
from offline.data.readers import Ints

KEPT = 256
"""Most others that an item is kept with, for each table."""

MOST = 2**25
"""Most pairs that are kept, which take 130 MB and 67 MB more for each value."""

FEWEST = 16
"""Others that an item is kept with, however many items there are."""

LARGEST = 60_000.0
"""Largest value: those kept are in half precision."""

PLACES = 2**26
"""Most places in which `ItemPairs` notes the pairs that it is asked for."""

SEARCHED = 8
"""Kept pairs that are looked at in the time in which one is searched for."""


def kept_of(size: int, tables: int) -> int:
    """The number of others that each of `size` items is kept with in some tables."""
    return min(size, KEPT * tables, max(FEWEST, MOST // size))


class Table(Protocol):
    """Values of pairs of items."""

    def largest(self, most: int) -> tuple[Ints, Ints, Ints]:
        """The pairs of the largest magnitudes of each first item, at most `most`: first, second, and rank from 0."""

    def at(self, first: Ints, second: Ints) -> Floats:
        """The values of pairs, FP32 [N]."""


@dataclass(frozen=True)
class Sparse:
    """Values of which most are 0; a row for each first item."""

    values: csr_array

    def __post_init__(self) -> None:
        self.values.sum_duplicates()

    def largest(self, most: int) -> tuple[Ints, Ints, Ints]:
        """See `Table`."""
        row, place, rank = self._largest(most)
        return row, self.values.indices[place].astype(np.int64), rank

    def truncated(self, most: int) -> csr_array:
        """The values of the same pairs alone."""
        row, place, _ = self._largest(most)
        return csr_array((self.values.data[place], (row, self.values.indices[place])), shape=self.values.shape)

    def _largest(self, most: int) -> tuple[Ints, Ints, Ints]:
        """The first items of the same pairs, the places of their values, and their ranks."""
        row = np.repeat(np.arange(self.values.shape[0]), np.diff(self.values.indptr))
        order = np.lexsort((-np.abs(self.values.data), row))
        rank = np.arange(len(order)) - self.values.indptr[row]
        best = (rank < most) & (self.values.data[order] != 0)
        return row[best], order[best], rank[best]

    def at(self, first: Ints, second: Ints) -> Floats:
        """See `Table`."""
        size = self.values.shape[1]
        row = np.repeat(np.arange(self.values.shape[0]), np.diff(self.values.indptr))
        return looked_up(row * size + self.values.indices, self.values.data, first * size + second)


@dataclass(frozen=True)
class Block:
    """Values of all pairs of some items.

    Attributes:
        numbers: the items, ascending, INT64 [n].
        values: FP32 [n, n].
    """

    numbers: Ints
    values: Floats

    def largest(self, most: int) -> tuple[Ints, Ints, Ints]:
        """See `Table`."""
        n = len(self.numbers)
        most = min(most, n)
        best = np.argpartition(-np.abs(self.values), most - 1, axis=1)[:, :most] if most else np.empty((n, 0), np.int64)
        best = np.take_along_axis(
            best, np.argsort(-np.abs(np.take_along_axis(self.values, best, 1)), axis=1, kind="stable"), 1
        )
        rank = np.broadcast_to(np.arange(most), best.shape).reshape(-1)
        there = np.take_along_axis(self.values, best, 1).reshape(-1) != 0
        return np.repeat(self.numbers, most)[there], self.numbers[best.reshape(-1)][there], rank[there]

    def at(self, first: Ints, second: Ints) -> Floats:
        """See `Table`."""
        if not len(self.numbers):
            return np.zeros(len(first), dtype=np.float32)
        places = [np.minimum(np.searchsorted(self.numbers, item), len(self.numbers) - 1) for item in (first, second)]
        within = (self.numbers[places[0]] == first) & (self.numbers[places[1]] == second)
        return np.where(within, self.values[places[0], places[1]], np.float32(0))


@dataclass(frozen=True)
class Kept:
    """The pairs that are kept, by their first item.

    Attributes:
        others: the second items, ascending; 0 where there are fewer; INT32 [size, K].
        values: of each table, FP16 [size, K, tables].
    """

    others: npt.NDArray[np.int32]
    values: npt.NDArray[np.float16]

    @classmethod
    def of(cls, size: int, tables: Sequence[Table]) -> Kept:
        """The pairs that rank highest in any of some tables, with the values that all have for them.

        Args:
            size: rows of the item table; the items are numbered from 1.
            tables: at least one.
        """
        most = kept_of(size, len(tables))
        first, second, rank = (np.concatenate(parts) for parts in zip(*(t.largest(most) for t in tables), strict=True))
        # Of a pair that several tables name, the best rank counts.
        order = np.lexsort((rank, first * size + second))
        pair = (first * size + second)[order]
        new = np.ones(len(pair), dtype=bool)
        new[1:] = pair[1:] != pair[:-1]
        pair, rank = pair[new], rank[order][new]
        order = np.lexsort((pair, rank, pair // size))
        first = (pair // size)[order]
        begins = np.searchsorted(first, np.arange(size))
        chosen = np.sort(pair[order][np.arange(len(order)) - begins[first] < most])
        first, second = chosen // size, chosen % size
        # The others of an item fill its row from the end, so that all ascend.
        ends = np.searchsorted(first, np.arange(size), side="right")
        place = most - ends[first] + np.arange(len(first))
        others = np.zeros((size, most), dtype=np.int32)
        values = np.zeros((size, most, len(tables)), dtype=np.float16)
        others[first, place] = second
        for column, table in enumerate(tables):
            values[first, place, column] = np.clip(table.at(first, second), -LARGEST, LARGEST)
        return cls(others, values)


def looked_up(keys: Ints, values: npt.NDArray[np.floating], wanted: Ints) -> Floats:
    """The values under some keys, 0 where there is none; `keys` ascend."""
    if not len(keys):
        return np.zeros(len(wanted), dtype=np.float32)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0).astype(np.float32)


class ItemPairs(nn.Module):
    """Kept pairs in a model.

    Args:
        size: rows of the item table; row 0 is the unknown item, which has no pairs.
        tables: values of a pair.
    """

    def __init__(self, size: int, tables: int) -> None:
        super().__init__()
        self.size = size
        self.others: Tensor
        self.values: Tensor
        kept = kept_of(size, tables)
        self.register_buffer("others", torch.zeros(size, kept, dtype=torch.int32))
        self.register_buffer("values", torch.zeros(size, kept * tables, dtype=torch.float16))
        self.tables = tables

    def set_pairs(self, pairs: Kept) -> None:
        """Take other pairs."""
        self.others.copy_(torch.from_numpy(pairs.others))
        self.values.copy_(torch.from_numpy(pairs.values).flatten(1))

    def forward(self, past: Tensor, row: Tensor, item: Tensor) -> Tensor:
        """Values of pairs of what is in a history with an item, FP32 [N, H, tables]; 0 for pairs that are not kept.

        Args:
            past: the histories, rows of the item table, INT64 [U, H].
            row: of each item's history, INT64 [N].
            item: rows of the item table; those of one history differ, or are 0; INT64 [N].
        """
        if torch.compiler.is_exporting() or self._of_few(len(past), len(item)):
            return self._noted(past, row, item)
        return self._searched(past, row, item)

    def _of_few(self, users: int, n: int) -> bool:
        """Tell whether n pairs are of so few histories that all their kept pairs can be looked at."""
        return users * self.others.shape[1] <= SEARCHED * n and users * self.size <= PLACES

    def _noted(self, past: Tensor, row: Tensor, item: Tensor) -> Tensor:
        """The same: all kept pairs of the histories are looked at, and those that are asked for are taken."""
        n, (users, history) = item.shape[0], past.shape
        # Where each history's items stand among those asked for, from 1.
        place = torch.zeros(users * self.size, dtype=torch.int32)
        place = place.index_put((row * self.size + item,), torch.arange(1, n + 1, dtype=torch.int32))
        begin = (torch.arange(users, dtype=torch.int32) * self.size)[:, None, None]
        asked = place.index_select(0, (F.embedding(past, self.others) + begin).flatten())
        to = asked.view(users, history, -1).to(torch.int64) * history + torch.arange(history)[:, None]
        made = torch.zeros((n + 1) * history, self.tables, dtype=torch.float16)
        made = made.index_put((to.flatten(),), F.embedding(past, self.values).view(-1, self.tables))
        return made.view(n + 1, history, self.tables)[1:].to(torch.float32)

    def _searched(self, past: Tensor, row: Tensor, item: Tensor) -> Tensor:
        """The same: each pair is searched for among the kept ones of all items."""
        keys = (self.others + torch.arange(self.size)[:, None] * self.size).flatten()
        wanted = past[row] * self.size + item[:, None]
        place = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
        found = keys[place] == wanted
        return self.values.view(-1, self.tables)[place].to(torch.float32) * found[..., None]
