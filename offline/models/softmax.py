"""Cross-entropy of the next item over the whole catalogue.

The gradients of a softmax over thousands of items are as large as its logits. They are made here together with the
loss, some positions at a time in one buffer that stays in the cache, so that nothing of size positions x items is kept.
The products are in bfloat16, which a recent processor multiplies two to three times as fast; the logit of the target
and all sums over positions are in full precision.
"""

from __future__ import annotations

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


class NextItemLoss(torch.autograd.Function):
    """Mean of the weighted cross-entropy of each position.

    forward(hidden FP32 [N, D], table FP32 [V, D], bias FP32 [V], target INT64 [N], weight FP32 [N], seen_row INT64 [K],
    seen_item INT64 [K]) -> FP32 scalar. The items `seen_item` are left out of the softmax of the positions `seen_row`
    (ascending), as is row 0; the target never is.
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
        dtype: torch.dtype = torch.bfloat16,
    ) -> Tensor:
        n, size = len(hidden), len(table)
        wanted = (hidden * table[target]).sum(1) + bias[target]
        # The bias is one more column, so that its gradient comes out of the same product.
        full = F.pad(torch.cat([hidden, torch.ones_like(hidden[:, :1])], 1), (0, 0, 0, -n % STEP)).to(dtype)
        items = torch.cat([table, bias[:, None]], 1).to(dtype)
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
        return grad * hidden, grad * table, grad * bias, None, None, None, None, None
