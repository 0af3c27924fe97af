"""Residual item-kNN: what a user gave to similar items, above or below what was expected of them.

Items are similar where their ratings deviate alike from what the item's raters and the user usually give: the cosine of
the deviations (adjusted cosine, Sarwar et al., 2001), with damped norms so that few common raters say little.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from offline.data.history import Floats
from offline.data.readers import Ints
from offline.data.windows import Sequences

DAMPING = 5.0
"""Ratings that a mean of deviations is raised by before it is divided, so that few ratings say little."""

NORM = 10.0
"""Added to an item's squared norm."""

HALF_LIFE = 10.0
"""Events in which the weight of an event halves, in the mean that prefers the last ones."""

POWERS = ((1, 0.5), (2, 0.03), (3, 1e-3))
"""Powers of the similarity that a weighted mean takes, each with the weight of a deviation of 0."""

COLUMNS = len(POWERS) + 3
"""Values of a pair: the means by POWERS, that of the last events, the sum of the deviations, and of the weights."""

FOLDS = 4
"""Users of one part are described by what the other parts say, or a model would trust its own labels."""

CHUNK = 4096
"""Events described at once."""


@dataclass(frozen=True)
class Similar:
    """Item-item similarities.

    Attributes:
        expected: rating that an item's raters give, FP32 [size].
        cosine: FP16 [size, size]; 0 for what is less than that, and for an item with itself.
    """

    expected: Tensor
    cosine: Tensor


class Near(nn.Module):
    """Describes pairs by the ratings of similar items; `size` rows of the item table, row 0 the unknown item."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.expected: Tensor
        self.cosine: Tensor
        self.register_buffer("expected", torch.zeros(size))
        self.register_buffer("cosine", torch.zeros(size * size, dtype=torch.float16))

    def set_tables(self, tables: Similar) -> None:
        """Take other tables."""
        self.expected.copy_(tables.expected)
        self.cosine.copy_(tables.cosine.view(-1))

    def forward(self, items: Tensor, rating: Tensor, row: Tensor, itemid: Tensor) -> Tensor:
        """Values FP32 [N, COLUMNS].

        Args:
            items, rating: histories, INT64 [U, H], right-padded with 0.
            row: of the pair's history, INT64 [N].
            itemid: of the pair, rows of the item table, INT64 [N].
        """
        known = (items > 0).to(torch.float32)
        inside = torch.where((items > 0) & (items < self.size), items, 0)
        deviation = (rating - self.expected[inside]) * known
        mean = deviation.sum(1, keepdim=True) / (known.sum(1, keepdim=True) + DAMPING)
        deviation = (deviation - mean) * known
        steps = (items > 0).sum(1, keepdim=True) - 1 - torch.arange(items.shape[1], device=items.device)
        recency = torch.exp2(-steps.clamp(min=0) / HALF_LIFE)
        weight = self.cosine[inside[row] * self.size + itemid[:, None]].to(torch.float32)
        deviation = deviation[row]
        values = [_mean(weight**power, deviation, damping) for power, damping in POWERS]
        values.append(_mean(weight * recency[row], deviation, 0.1))
        values += [(weight * deviation).sum(1), torch.log1p(weight.sum(1))]
        return torch.stack(values, 1)


def _mean(weight: Tensor, value: Tensor, damping: float) -> Tensor:
    return (weight * value).sum(1) / (weight.sum(1) + damping)


def similar(events: Sequences, known: npt.NDArray[np.bool_], size: int) -> Similar:
    """Tables of `size` rows from the events that `known` [events] marks."""
    itemid, rating, user = events.itemid[known], events.rating[known], _user(events)[known]
    expected = (rating.mean() + usual(itemid, rating, size)).astype(np.float32)
    above = rating - expected[itemid]
    users, row, count = np.unique(user, return_inverse=True, return_counts=True)
    deviation = (above - (np.bincount(row, above) / (count + DAMPING))[row]).astype(np.float32)
    table = torch.zeros(len(users), size)
    table[torch.from_numpy(row), torch.from_numpy(itemid)] = torch.from_numpy(deviation)
    gram = table.T @ table
    norm = torch.sqrt(gram.diagonal() + NORM)
    cosine = gram.div_(norm).div_(norm[:, None])
    cosine.fill_diagonal_(0.0)
    return Similar(torch.from_numpy(expected), cosine.clamp_(min=0.0).half())


def describe(events: Sequences, known: npt.NDArray[np.bool_], size: int, history: int) -> tuple[Floats, Similar]:
    """(values of all events as of the moment before each, FP32 [events, COLUMNS]; the tables of what is known).

    Known events are described by tables without the users of their part, all others by the tables returned.
    """
    part = _user(events) % FOLDS
    values = np.empty((len(known), COLUMNS), dtype=np.float32)
    for fold in range(FOLDS):
        places = np.flatnonzero(known & (part == fold))
        values[places] = near(similar(events, known & (part != fold), size), events, places, history)
    tables = similar(events, known, size)
    values[~known] = near(tables, events, np.flatnonzero(~known), history)
    return values, tables


@torch.inference_mode()
def near(tables: Similar, events: Sequences, places: Ints, history: int) -> Floats:
    """Values of the events at `places`, each from at most `history` events before it, FP32 [places, COLUMNS]."""
    model = Near(len(tables.expected))
    model.set_tables(tables)
    made = [
        model(items, rating, torch.arange(len(itemid)), itemid)
        for items, rating, itemid in _pairs(events, places, history)
    ]
    values: Floats = torch.cat(made).numpy() if made else np.empty((0, COLUMNS), dtype=np.float32)
    return values


def usual(itemid: Ints, rating: Ints, size: int) -> Floats:
    """Return each item's mean rating minus the overall mean, shrunk towards 0 for few ratings; FP32 [size]."""
    above = np.bincount(itemid, rating - rating.mean(), minlength=size)
    return (above / (np.bincount(itemid, minlength=size) + DAMPING)).astype(np.float32)


def _pairs(events: Sequences, places: Ints, history: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """(histories, their ratings, items), INT64 [N, history] twice and [N], of runs of places.

    Which events stand before another is told by their order, how they are ordered among themselves by (ts, itemid), as
    in a profile; the two differ within a second.
    """
    user = _user(events)
    profile = np.lexsort((events.itemid, events.ts, user))
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
        items[row, to], rating[row, to] = events.itemid[place[row, column]], events.rating[place[row, column]]
        yield torch.from_numpy(items), torch.from_numpy(rating), torch.from_numpy(events.itemid[some])


def _user(events: Sequences) -> Ints:
    return np.repeat(np.arange(len(events.userid)), np.diff(events.start))
