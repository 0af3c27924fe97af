"""Cross-entropy of the next item over the whole catalogue.

The gradients of a softmax over thousands of items are as large as its logits. They are made here together with the
loss, a few windows at a time in one buffer that stays in the cache, so that nothing of size positions x items is kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class NextItemLoss(torch.autograd.Function):
    """Weighted mean cross-entropy.

    forward(hidden FP32 [B, L, D], table FP32 [V, D], bias FP32 [V], items INT64 [B, L], target INT64 [B, L],
    weight FP32 [B, L], before_row INT64 [K], before_item INT64 [K]) -> FP32 scalar. At a position, the window's items
    up to there and the items `before_item` of its window `before_row` are left out of the softmax, as is row 0; the
    target never is. A weight of 0 marks padding.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        table: Tensor,
        bias: Tensor,
        items: Tensor,
        target: Tensor,
        weight: Tensor,
        before_row: Tensor,
        before_item: Tensor,
        chunk: int = 4,
    ) -> Tensor:
        rows, length, dim = hidden.shape
        offset = bias.repeat(rows, 1)
        offset[before_row, before_item] = -torch.inf
        offset[:, 0] = -torch.inf
        up_to = torch.ones(length, length, dtype=torch.int64).tril()
        scale = weight / weight.sum()
        grad_hidden, grad_table, grad_bias = torch.empty_like(hidden), torch.zeros_like(table), torch.zeros_like(bias)
        buffer = torch.empty(min(chunk, rows), length, len(table))
        loss = torch.zeros(())
        for start in range(0, rows, chunk):
            part = slice(start, min(start + chunk, rows))
            states, of, wanted = hidden[part], scale[part].reshape(-1, 1), target[part].reshape(-1, 1)
            grid = buffer[: len(states)]
            torch.baddbmm(offset[part, None], states, table.T.expand(len(states), -1, -1), out=grid)
            flat, logits = states.reshape(-1, dim), grid.view(-1, len(table))
            grid.scatter_(2, items[part, None] * up_to, -torch.inf)
            logits.scatter_(1, wanted, (flat * table[wanted[:, 0]]).sum(1, keepdim=True) + bias[wanted])
            torch.softmax(logits, 1, out=logits)
            loss -= (of * logits.gather(1, wanted).clamp(min=1e-30).log()).sum()
            logits.scatter_add_(1, wanted, -torch.ones_like(of))
            torch.mm(logits, table, out=grad_hidden[part].view(-1, dim)).mul_(of)
            grad_table.addmm_(logits.T, flat * of)
            grad_bias.addmv_(logits.T, of[:, 0])
        ctx.save_for_backward(grad_hidden, grad_table, grad_bias)
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, table, bias = ctx.saved_tensors
        return grad * hidden, grad * table, grad * bias, None, None, None, None, None, None
