"""Residual item-kNN: what a user gave to similar items, above or below what was expected of them.

Items are similar where their levels (`Codes.levels`: of ratings the ratings) deviate alike from what the item's users
and the user usually give: the cosine of the deviations (adjusted cosine, Sarwar et al., 2001), with damped norms so
that few common users say little.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import coo_array, csr_array, vstack  # type: ignore[import-untyped]
from torch import Tensor, nn

from features.dataset.codes import Codes
from offline.data.history import Floats
from offline.data.readers import Ints
from offline.data.windows import Sequences
from offline.models.item_pairs import ItemPairs, Kept, Sparse, kept_of

DAMPING = 5.0
"""Events that a mean of deviations is raised by before it is divided, so that few events say little."""

NORM = 10.0
"""Added to an item's squared norm."""

HALF_LIFE = 10.0
"""Events in which the weight of an event halves, in the mean that prefers the last ones."""

DAMPINGS = (0.5, 0.03, 1e-3)
"""Weights of a deviation of 0 in the means that are weighted by the similarity, its square, and its cube."""

COLUMNS = len(DAMPINGS) + 3
"""Values of a pair: means by powers of the similarity, that of the last events, and sums of deviations and weights."""

FOLDS = 4
"""Users of one part are described by what the other parts say, or a model would trust its own labels."""

CHUNK = 4096
"""Events described at once."""

COLUMNS_AT_ONCE = 1000
"""Items whose similarities with all others are computed at once."""


@dataclass(frozen=True)
class Similar:
    """Item-item similarities.

    Attributes:
        expected: level that an item's users give, FP32 [size].
        cosine: of the pairs that are kept; 0 for what is less than that, and for an item with itself.
    """

    expected: Tensor
    cosine: Kept


class Near(nn.Module):
    """Describes pairs by a user's events with similar items.

    Args:
        codes: of the data set.
        size: rows of the item table; row 0 is the unknown item.
    """

    def __init__(self, codes: Codes, size: int) -> None:
        super().__init__()
        self.size = size
        self.level: Tensor
        self.expected: Tensor
        self.register_buffer("level", torch.from_numpy(codes.level_array.copy()))
        self.register_buffer("expected", torch.zeros(size))
        self.pairs = ItemPairs(size, 1)

    def set_tables(self, tables: Similar) -> None:
        """Take other tables."""
        self.expected.copy_(tables.expected)
        self.pairs.set_pairs(tables.cosine)

    def forward(self, items: Tensor, rating: Tensor, row: Tensor, item: Tensor) -> Tensor:
        """Values FP32 [N, COLUMNS].

        Args:
            items, rating: histories, numbers of items and codes of events; INT64 [U, H], right-padded with 0.
            row: of the pair's history, INT64 [N].
            item: of the pair, rows of the item table, INT64 [N].
        """
        known = (items > 0).to(torch.float32)
        inside = torch.where((items > 0) & (items < self.size), items, 0)
        level = self.level[rating.clamp(0, len(self.level) - 1)]
        deviation = (level - self.expected[inside]) * known
        mean = deviation.sum(1, keepdim=True) / (known.sum(1, keepdim=True) + DAMPING)
        deviation = (deviation - mean) * known
        steps = (items > 0).sum(1, keepdim=True) - 1 - torch.arange(items.shape[1], device=items.device)
        recency = torch.exp2(-steps.clamp(min=0) / HALF_LIFE)
        weight = self.pairs(inside, row, item)[:, :, 0]
        deviation, raised = deviation[row], weight
        values = []
        for damping in DAMPINGS:
            values.append(_mean(raised, deviation, damping))
            raised = raised * weight
        values.append(_mean(weight * recency[row], deviation, 0.1))
        values += [(weight * deviation).sum(1), torch.log1p(weight.sum(1))]
        return torch.stack(values, 1)


def _mean(weight: Tensor, value: Tensor, damping: float) -> Tensor:
    return (weight * value).sum(1) / (weight.sum(1) + damping)


def similar(codes: Codes, events: Sequences, known: npt.NDArray[np.bool_], size: int) -> Similar:
    """Tables of `size` rows from the events that `known` [events] marks."""
    places = _strongest(codes, events, np.flatnonzero(known), size)
    if not len(places):
        return Similar(torch.zeros(size), Kept.of(size, [Sparse(csr_array((size, size), dtype=np.float32))]))
    item, level, user = events.item[places], levels(codes, events.code[places]), events.user_of_event()[places]
    expected = (level.mean() + usual(item, level, size)).astype(np.float32)
    above = level - expected[item]
    users, row, count = np.unique(user, return_inverse=True, return_counts=True)
    deviation = (above - (np.bincount(row, above) / (count + DAMPING))[row]).astype(np.float32)
    table = coo_array((deviation, (row, item)), shape=(len(users), size)).tocsr()
    return Similar(torch.from_numpy(expected), Kept.of(size, [Sparse(_cosines(table))]))


def _cosines(table: csr_array) -> csr_array:
    """The largest cosines of each column with others, of those above 0."""
    columns, most = table.tocsc(), kept_of(table.shape[1], 1)
    norm = np.sqrt(columns.power(2).sum(axis=0) + NORM).astype(np.float32)
    parts = []
    for first in range(0, table.shape[1], COLUMNS_AT_ONCE):
        gram = (columns[:, first : first + COLUMNS_AT_ONCE].T @ table).tocoo()
        row, column = gram.coords
        above = (gram.data > 0) & (row + first != column)
        row, column = row[above] + first, column[above]
        cosine = csr_array(
            (gram.data[above] / norm[row] / norm[column], (row - first, column)),
            shape=(min(COLUMNS_AT_ONCE, table.shape[1] - first), table.shape[1]),
        )
        parts.append(Sparse(cosine).truncated(most))
    return vstack(parts, format="csr")


def _strongest(codes: Codes, events: Sequences, places: Ints, size: int) -> Ints:
    """Of the events at `places` those that say most: one of each user and item, ascending.

    It is the one of the highest level among the latest of each type.
    """
    pair = events.user_of_event()[places] * size + events.item[places]
    kind = codes.type_array[events.code[places]]
    latest = _lasts(pair * len(codes.types) + kind, np.arange(len(places)))
    pair, level = pair[latest], levels(codes, events.code[places[latest]])
    chosen: Ints = places[latest[_lasts(pair, level)]]
    return np.sort(chosen)


def _lasts(group: Ints, rank: npt.NDArray[np.generic]) -> Ints:
    """Places of the highest-ranking member of each group, of equals the last."""
    order = np.lexsort((rank, group))
    ends = np.ones(len(group), dtype=bool)
    ends[:-1] = np.diff(group[order]) != 0
    found: Ints = order[ends]
    return np.sort(found)


def describe(
    codes: Codes, events: Sequences, known: npt.NDArray[np.bool_], size: int, history: int
) -> tuple[Floats, Similar]:
    """(values of all events as of the moment before each, FP32 [events, COLUMNS]; the tables of what is known).

    Known events are described by tables without the users of their part, all others by the tables returned.
    """
    part = events.user_of_event() % FOLDS
    values = np.empty((len(known), COLUMNS), dtype=np.float32)
    for fold in range(FOLDS):
        places = np.flatnonzero(known & (part == fold))
        values[places] = near(codes, similar(codes, events, known & (part != fold), size), events, places, history)
    tables = similar(codes, events, known, size)
    values[~known] = near(codes, tables, events, np.flatnonzero(~known), history)
    return values, tables


@torch.inference_mode()
def near(codes: Codes, tables: Similar, events: Sequences, places: Ints, history: int) -> Floats:
    """Values of the events at `places`, each from at most `history` events before it, FP32 [places, COLUMNS]."""
    model = Near(codes, len(tables.expected))
    model.set_tables(tables)
    made = [
        model(items, rating, torch.arange(len(item)), item) for items, rating, item in _pairs(events, places, history)
    ]
    values: Floats = torch.cat(made).numpy() if made else np.empty((0, COLUMNS), dtype=np.float32)
    return values


def levels(codes: Codes, code: Ints) -> npt.NDArray[np.float64]:
    """The levels of events, FP64 [events]."""
    return np.array(codes.levels)[code]


def usual(item: Ints, level: npt.NDArray[np.float64], size: int) -> Floats:
    """Return each item's mean level minus the overall mean, shrunk towards 0 for few events; FP32 [size]."""
    above = np.bincount(item, level - level.mean(), minlength=size)
    return (above / (np.bincount(item, minlength=size) + DAMPING)).astype(np.float32)


def _pairs(events: Sequences, places: Ints, history: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """(histories, the codes of their events, items), INT64 [N, history] twice and [N], of runs of places.

    Which events stand before another is told by their order, how they are ordered among themselves by (ts, item, code),
    as in a profile; the two differ within a second.
    """
    user = events.user_of_event()
    profile = np.lexsort((events.code, events.item, events.ts, user))
    begins = np.ones(len(user), dtype=bool)
    begins[1:] = (np.diff(user) != 0) | (np.diff(events.ts) != 0)
    end = np.append(np.flatnonzero(begins), len(user))[np.cumsum(begins)]
    for first in range(0, len(places), CHUNK):
        some = places[first : first + CHUNK]
        width = history + int((end[some] - some).max())
        place = end[some][:, None] - width + np.arange(width)
        known = place >= events.start[user[some]][:, None]
        place = profile[np.maximum(place, 0)]
        known &= place < some[:, None]
        # Counted from the newest; of the oldest there may be too many.
        age = np.cumsum(known[:, ::-1], axis=1)[:, ::-1] - 1
        known &= age < history
        row, column = np.nonzero(known)
        to = known.sum(1)[row] - 1 - age[row, column]
        items, rating = np.zeros((2, len(some), history), dtype=np.int64)
        items[row, to], rating[row, to] = events.item[place[row, column]], events.code[place[row, column]]
        yield torch.from_numpy(items), torch.from_numpy(rating), torch.from_numpy(events.item[some])
