"""Cross-entropy of the next item over the whole catalogue, or over a sample of a large one.

The gradients of a softmax over thousands of items are as large as its logits. They are made here together with the
loss, some positions at a time in one buffer that stays in the cache, so that nothing of size positions x items is kept.
The products are in bfloat16, which a recent processor multiplies two to three times as fast; the logit of the target
and all sums over positions are in full precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

CHUNK = 256
"""Positions at a time."""

STEP = 64
"""Positions are padded to a multiple of this: each further shape of a product costs compiling it, and memory."""

LEFT_OUT = -1e4
"""Logit of an item that is left out."""

ALL = 20_000
"""Up to so many items, a softmax is over all of them."""

SAMPLED = 8_192
"""Items that the softmax of a step is over where there are more, on average, beside the targets."""


@dataclass(frozen=True)
class Sample:
    """The items that the softmax of a step is over, in place of the whole catalogue.

    Each item is among them with a probability of its own, by which its share of the sum over the catalogue is divided:
    the sum is right on average. A target that is not among them is in the softmax of its own position alone.

    Attributes:
        items: ascending, with all targets, and 0, the unknown item, INT64 [V].
        correction: to be added to their logits, FP32 [V].
    """

    items: Tensor
    correction: Tensor

    @classmethod
    def of(cls, probability: Tensor, target: Tensor) -> Sample:
        """Draw the items of a step; `probability` of each item, FP32 [size]."""
        drawn = torch.rand(len(probability)) < probability
        drawn[0] = True
        among = drawn.clone()
        among[target] = True
        items = among.nonzero()[:, 0]
        correction = torch.where(drawn[items], -torch.log(probability[items].clamp(min=1e-30)), LEFT_OUT)
        return cls(items, correction)

    def rows_of(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """The places of items among these, INT64 [N], and True for those that are there, bool [N]."""
        row = torch.searchsorted(self.items, items).clamp(max=len(self.items) - 1)
        return row, self.items[row] == items


def probabilities(item: Tensor, size: int) -> Tensor | None:
    """The probability that an item is in the softmax of a step, FP32 [size]; None where all are.

    Half of it is the same for all items, half follows from how often they occur, `item` INT64 [events].
    """
    if size <= ALL:
        return None
    count = torch.bincount(item, minlength=size).to(torch.float32)
    return (0.5 * SAMPLED * (count / count.sum() + 1.0 / size)).clamp(max=1.0)


class NextItemLoss(torch.autograd.Function):
    """Mean of the weighted cross-entropy of each position.

    forward(hidden FP32 [N, D], table FP32 [V, D], bias FP32 [V], target INT64 [N], weight FP32 [N], seen_row INT64 [K],
    seen_item INT64 [K], correction FP32 [V] or None) -> FP32 scalar. The items `seen_item` are left out of the softmax
    of the positions `seen_row` (ascending), as is row 0; the target never is. `correction` is added to the logits of
    all items but a position's target (see `Sample`).
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        table: Tensor,
        bias: Tensor,
        target: Tensor,
        weight: Tensor,
        seen_row: Tensor,
        seen_item: Tensor,
        correction: Tensor | None = None,
        dtype: torch.dtype = torch.bfloat16,
    ) -> Tensor:
        n, size = len(hidden), len(table)
        wanted = (hidden * table[target]).sum(1) + bias[target]
        # The bias is one more column, so that its gradient comes out of the same product.
        full = F.pad(torch.cat([hidden, torch.ones_like(hidden[:, :1])], 1), (0, 0, 0, -n % STEP)).to(dtype)
        corrected = bias if correction is None else bias + correction
        items = torch.cat([table, corrected[:, None]], 1).to(dtype)
        starts = torch.arange(0, len(full) + CHUNK, CHUNK, device=hidden.device)
        bounds = torch.searchsorted(seen_row, starts).tolist()
        left_out = seen_row * size + seen_item
        buffer = torch.empty(min(CHUNK, len(full)), size, dtype=dtype, device=hidden.device)
        grad_full = torch.empty_like(full)
        grad_items = torch.zeros(items.shape, device=hidden.device)
        loss = torch.zeros((), device=hidden.device)
        for number, start in enumerate(range(0, len(full), CHUNK)):
            part = full[start : start + CHUNK]
            real = max(0, min(n - start, len(part)))
            logits = buffer[: len(part)]
            torch.mm(part, items.T, out=logits)
            logits.view(-1).index_fill_(0, left_out[bounds[number] : bounds[number + 1]] - start * size, LEFT_OUT)
            logits[:, 0] = LEFT_OUT
            of = target[start : start + real, None]
            logits[:real].scatter_(1, of, wanted[start : start + real, None].to(dtype))
            torch.softmax(logits, 1, out=logits)
            share = logits[:real].gather(1, of)
            weights = weight[start : start + real, None]
            loss -= (share.float().clamp(min=1e-30).log() * weights).sum()
            logits[:real].scatter_(1, of, share - 1)
            logits[real:] = 0
            torch.mm(logits, items, out=grad_full[start : start + CHUNK])
            # Rows of the products are weighted, as there are fewer of them than of logits.
            grad_full[start : start + real] *= weights
            part[:real] *= weights
            grad_items += torch.mm(logits.T, part)
        dim = hidden.shape[1]
        ctx.save_for_backward(grad_full[:n, :dim].float() / n, grad_items[:, :dim] / n, grad_items[:, dim] / n)
        return loss / n

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, table, bias = ctx.saved_tensors
        return grad * hidden, grad * table, grad * bias, None, None, None, None, None, None
