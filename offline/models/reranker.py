"""The order of a list: P(next) among candidates, from the encoder's score and what the last events say of each.

A linear part and a small network over: the encoder's log-probability; sums over the user's last events, halved with
each step into the past at several rates, of how often the candidate follows them (as a rate and as a lift over its
popularity) and of EASE's weights; logit(P(like)); and the dense features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from features import Schema
from offline.models.item_pairs import ItemPairs
from offline.models.neighbours import Neighbours

HALF_LIVES = (1.5, 5.0, 20.0)
"""Steps into the past, in events, in which an event's weight halves."""

DAMPING = 20.0
"""Weight of the prior in a rate of following."""

WIDTH = 32
LAYERS = (32, 16)
DROPOUT = 0.1
LARGEST = 5.0
"""Bound of a standardised input."""


def width(schema: Schema) -> int:
    """Number of inputs beside the encoder's score."""
    return 3 * len(HALF_LIVES) + 1 + len(schema.dense_columns) + 1


class Reranker(nn.Module):
    """Scores candidates.

    Args:
        schema: of the data set.
        size: rows of the item table; those of the unknown item, 0, are zeros.
    """

    def __init__(self, schema: Schema, size: int) -> None:
        super().__init__()
        self.size = size
        self.like_rate = schema.dense_columns.index("item_like_rate")
        inputs = width(schema)
        self.pairs = ItemPairs(size, 2)
        self.follow_sum: Tensor
        self.share: Tensor
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("follow_sum", torch.zeros(size))
        self.register_buffer("share", torch.full((size,), 1.0 / size))
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        self.encoder_weight = nn.Parameter(torch.ones(()))
        self.linear = nn.Linear(inputs, 1, bias=False)
        self.network = nn.Sequential(
            nn.Linear(inputs + 1, LAYERS[0]),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(LAYERS[0], LAYERS[1]),
            nn.ReLU(),
            nn.Linear(LAYERS[1], 1, bias=False),
        )
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.network[-1].weight)  # type: ignore[arg-type]

    def set_neighbours(self, tables: Neighbours) -> None:
        """Take other tables."""
        self.pairs.set_pairs(tables.pairs)
        followed = torch.from_numpy(tables.followed)
        self.follow_sum.copy_(torch.from_numpy(tables.follow_sum))
        self.share.copy_((followed + 1.0) / (followed.sum() + self.size))
        self.share[0] = 1.0 / self.size

    def inputs(self, items: Tensor, row: Tensor, item: Tensor, like: Tensor, dense: Tensor) -> Tensor:
        """Inputs beside the encoder's score, FP32 [N, width].

        Args:
            items: histories, INT64 [U, H], right-padded with 0.
            row: of the candidate's history, INT64 [N].
            item: the candidates, rows of the item table, INT64 [N].
            like: logit(P(like)), FP32 [N].
            dense: FP32 [N, columns].
        """
        past = torch.where((items > 0) & (items < self.size), items, 0)
        steps = (items > 0).sum(1, keepdim=True) - 1 - torch.arange(items.shape[1], device=items.device)
        known = (items > 0).to(torch.float32)
        weights = torch.stack([known * torch.exp2(-steps.clamp(min=0) / life) for life in HALF_LIVES], 1)[row]
        follows, ease = self.pairs(past, row, item).unbind(2)
        after, share = (self.follow_sum[past] + DAMPING)[row], self.share[item][:, None]
        lift = torch.log((follows + DAMPING * share) / after / share + 0.05)
        said = torch.stack([follows / after, lift, ease], 2)
        sums = torch.bmm(weights, said)
        rates = torch.log(sums[:, :, 0] + 1e-3)
        rate = torch.log(dense[:, self.like_rate, None].clamp(min=0.05))
        return torch.cat([rates, sums[:, :, 1], sums[:, :, 2], rate, dense, like[:, None]], 1)

    def combine(self, score: Tensor, probability: Tensor, inputs: Tensor) -> Tensor:
        """Log-odds of being the next, up to a constant of the list; FP32 [...].

        Args:
            score: the encoder's, FP32 [...].
            probability: its logarithm as a share of the whole catalogue, FP32 [...].
            inputs: as `inputs` makes them, FP32 [..., width].
        """
        standard = ((inputs - self.mean) * self.scale).clamp(-LARGEST, LARGEST)
        network = self.network(torch.cat([standard, probability[..., None]], -1))
        out: Tensor = self.encoder_weight * score + (self.linear(standard) + network)[..., 0]
        return out
