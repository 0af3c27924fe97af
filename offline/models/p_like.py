"""P(like): a DeepFM with a taste vector that follows from the user's last events.

After DeepFM (Guo et al., 2017): biases, a linear part, dot products of embeddings, and a network over attributes, dense
features and element-wise products. Beside the product of the user's and the item's embedding there is that of a taste
with the item: the sum of what the last events say, each its code's worth less what the item's users give, times an
embedding of the item (asymmetric SVD, Koren 2008), and what `similar` says of the pair. Neither needs a user
id, so they serve new users as well.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from features import Schema
from features.dataset.codes import Codes
from offline.data.history import Floats
from offline.models import similar

WIDTH = 16
TASTE = 32
ATTRIBUTE_WIDTH = 8
LAYERS = (64, 32)
DROPOUT = 0.1
LARGEST = 5.0
"""Bound of a standardised input."""

WORTH = (-2.0, -1.5, -0.6, 0.4, 1.2)
"""Worth, before training, of values from the lowest to the highest; others lie between."""

DAMPING = 5.0
"""Events that the length of a history is raised by before a taste is divided by its root."""

ATTRIBUTES = 2
"""Column of `ids` where the user's attributes begin."""


def width(schema: Schema) -> int:
    """Number of inputs: dense features and what similar items say."""
    return len(schema.dense_columns) + similar.COLUMNS


def worth(codes: Codes) -> Floats:
    """Worth of events before training, FP32 [codes.size].

    The values of a type are spread as WORTH is; an event without a value of its own is worth its level.
    """
    out = codes.level_array.copy()
    for name in codes.types:
        of_type = [code for code in range(1, codes.size) if codes.type(code) == name and codes.value(code) is not None]
        if of_type:
            out[of_type] = np.interp(np.linspace(0, 1, len(of_type)), np.linspace(0, 1, len(WORTH)), WORTH)
    return out


class PLike(nn.Module):
    """logit(P(like)) of pairs of a user and an item.

    Args:
        schema: of the data set.
        users, items: rows of the user table and of the item table, `Numbering.size`.
        mean, deviation: of `inputs`, FP32 [width].
    """

    def __init__(self, schema: Schema, users: int, items: int, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("scale", 1.0 / deviation.clamp(min=1e-3))
        self.user, self.item = nn.Embedding(users, WIDTH), nn.Embedding(items, WIDTH)
        self.user_bias, self.item_bias = nn.Embedding(users, 1), nn.Embedding(items, 1)
        self.rated, self.seen = nn.Embedding(items, TASTE), nn.Embedding(items, TASTE)
        self.usual = nn.Embedding(items, 1)
        self.worth = nn.Parameter(torch.from_numpy(worth(schema.codes)))
        self.target = nn.Embedding(items, TASTE)
        # One row more stands for an unknown value.
        sizes = [len(attribute.values) + 1 for attribute in schema.user_attributes]
        self.attributes = nn.ModuleList(nn.Embedding(size, ATTRIBUTE_WIDTH) for size in sizes)
        self.attribute_biases = nn.ModuleList(nn.Embedding(size, 1) for size in sizes)
        inputs = width(schema)
        self.linear = nn.Linear(inputs, 1)
        widths = (inputs + WIDTH + TASTE + 1 + ATTRIBUTE_WIDTH * len(sizes), *LAYERS)
        layers: list[nn.Module] = []
        for inner, outer in pairwise(widths):
            layers += [nn.Linear(inner, outer), nn.ReLU(), nn.Dropout(DROPOUT)]
        self.network = nn.Sequential(*layers, nn.Linear(widths[-1], 1))
        for table in (self.user, self.item, *self.attributes):
            nn.init.normal_(table.weight, std=0.01)
        for table in (self.rated, self.target):
            nn.init.normal_(table.weight, std=0.1)
        for table in (self.user_bias, self.item_bias, self.usual, self.seen, *self.attribute_biases):
            nn.init.zeros_(table.weight)

    def set_usual(self, usual: Tensor) -> None:
        """Begin with what an item's users give, less the mean level; FP32 [items]."""
        with torch.no_grad():
            self.usual.weight.copy_(usual[:, None])

    def says(self, items: Tensor, rating: Tensor) -> Tensor:
        """Return what each event adds to a taste, FP32 [..., TASTE + 1]; nothing where `items` is 0.

        The last component is the worth of the code, `rating`, less what the item's users give.
        """
        inside = rows_of(items, self.rated)
        worth = self.worth[rating.clamp(0, len(self.worth) - 1)][..., None] - self.usual(inside)
        said = torch.cat([worth * self.rated(inside) + self.seen(inside), worth], -1)
        return said * (items > 0)[..., None]

    def taste(self, items: Tensor, rating: Tensor) -> Tensor:
        """The taste of each history INT64 [U, H], FP32 [U, TASTE + 1]."""
        return self.says(items, rating).sum(1) / damped((items > 0).sum(1))

    def forward(self, taste: Tensor, ids: Tensor, inputs: Tensor) -> Tensor:
        """Logits FP32 [N] of `taste` FP32 [N, TASTE + 1], `ids` INT64 [N, columns], `inputs` FP32 [N, width]."""
        inputs = ((inputs - self.mean) * self.scale).clamp(-LARGEST, LARGEST)
        user, item = rows_of(ids[:, 0], self.user), rows_of(ids[:, 1], self.item)
        product, fit = self.user(user) * self.item(item), taste[:, :TASTE] * self.target(item)
        parts = [inputs, product, fit, taste[:, TASTE:]]
        logit = product.sum(1, keepdim=True) + fit.sum(1, keepdim=True)
        logit = logit + self.user_bias(user) + self.item_bias(item) + self.linear(inputs)
        for place, (table, bias) in enumerate(zip(self.attributes, self.attribute_biases, strict=True), ATTRIBUTES):
            row = rows_of(ids[:, place] + 1, table)
            parts.append(table(row))
            logit = logit + bias(row)
        out: Tensor = (logit + self.network(torch.cat(parts, 1)))[:, 0]
        return out


def damped(n: Tensor) -> Tensor:
    """Return the divisor of a sum over n events, FP32 [..., 1]."""
    return torch.sqrt(n.to(torch.float32) + DAMPING)[..., None]


def rows_of(row: Tensor, table: nn.Module) -> Tensor:
    """Rows of the table; 0, the unknown, for others."""
    assert isinstance(table, nn.Embedding)
    return torch.where((row >= 0) & (row < table.num_embeddings), row, 0)
