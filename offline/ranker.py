"""The ranker: a DeepFM with two heads, P(next) and P(like), and their combination.

After DeepFM (Guo et al., 2017): biases, a linear part, the dot product of the user's and the item's embedding, and a
network over attributes, dense features and the element-wise product of the two embeddings.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from features import DENSE_COLUMNS, IDS
from features.catalogue import AGES, OCCUPATIONS

ATTRIBUTES = {"gender": 2, "age": len(AGES), "occupation": OCCUPATIONS}
"""Values of each attribute; one row more in its table stands for unknown."""

WIDTH = 16
ATTRIBUTE_WIDTH = 8
LAYERS = (64, 32)
DROPOUT = 0.1


class Ranker(nn.Module):
    """Scores pairs of a user and an item.

    Inputs: `user_vector` FP32 [N, D + 1] of the encoder, `ids` INT64 [N, 5] as in `features.IDS`, `dense` FP32 [N, 32]
    as in `features.DENSE_COLUMNS`. Outputs, FP32 [N] each: `next`, the encoder's score; `like`, P(like);
    `score` = next + weight * logit(like), by which lists are ordered. Ids outside the tables are unknown.

    Args:
        users: rows of the user table, the largest userid + 1.
        item_vectors: the encoder's, FP32 [rows of the item table, D + 1].
        mean, deviation: of the dense features, FP32 [32].
    """

    def __init__(self, users: int, item_vectors: Tensor, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        items = len(item_vectors)
        self.item_vectors: Tensor
        self.mean: Tensor
        self.scale: Tensor
        self.weight: Tensor
        self.register_buffer("item_vectors", item_vectors)
        self.register_buffer("mean", mean)
        self.register_buffer("scale", 1.0 / deviation.clamp(min=1e-3))
        self.register_buffer("weight", torch.tensor(0.0))
        self.user, self.item = nn.Embedding(users, WIDTH), nn.Embedding(items, WIDTH)
        self.user_bias, self.item_bias = nn.Embedding(users, 1), nn.Embedding(items, 1)
        self.attributes = nn.ModuleList(nn.Embedding(n + 1, ATTRIBUTE_WIDTH) for n in ATTRIBUTES.values())
        self.attribute_biases = nn.ModuleList(nn.Embedding(n + 1, 1) for n in ATTRIBUTES.values())
        self.linear = nn.Linear(len(DENSE_COLUMNS), 1)
        sizes = (len(DENSE_COLUMNS) + WIDTH + ATTRIBUTE_WIDTH * len(ATTRIBUTES), *LAYERS)
        layers: list[nn.Module] = []
        for inner, outer in pairwise(sizes):
            layers += [nn.Linear(inner, outer), nn.ReLU(), nn.Dropout(DROPOUT)]
        self.network = nn.Sequential(*layers, nn.Linear(sizes[-1], 1))
        for table in (self.user, self.item, *self.attributes):
            nn.init.normal_(table.weight, std=0.01)
        for table in (self.user_bias, self.item_bias, *self.attribute_biases):
            nn.init.zeros_(table.weight)

    def like_logit(self, ids: Tensor, dense: Tensor) -> Tensor:
        """logit(P(like)), FP32 [N]."""
        dense = (dense - self.mean) * self.scale
        userid, itemid = _inside(ids[:, 0], self.user), _inside(ids[:, 1], self.item)
        product = self.user(userid) * self.item(itemid)
        parts = [dense, product]
        logit = product.sum(1, keepdim=True) + self.user_bias(userid) + self.item_bias(itemid) + self.linear(dense)
        for place, (table, bias) in enumerate(zip(self.attributes, self.attribute_biases, strict=True), len(IDS) - 3):
            row = _inside(ids[:, place] + 1, table)
            parts.append(table(row))
            logit = logit + bias(row)
        out: Tensor = (logit + self.network(torch.cat(parts, 1)))[:, 0]
        return out

    def forward(self, user_vector: Tensor, ids: Tensor, dense: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(next, like, score)."""
        following = (user_vector * self.item_vectors[_inside(ids[:, 1], self.item)]).sum(1)
        logit = self.like_logit(ids, dense)
        return following, torch.sigmoid(logit), following + self.weight * logit


def _inside(row: Tensor, table: nn.Module) -> Tensor:
    """Rows of the table; 0, the unknown, for others."""
    assert isinstance(table, nn.Embedding)
    return torch.where((row >= 0) & (row < table.num_embeddings), row, 0)
