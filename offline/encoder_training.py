"""Training of the sequence encoder."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from offline.encoder import Encoder
from offline.softmax import NextItemLoss
from offline.windows import Sequences, Windows, batches, shuffled, windows
from settings import TrainSettings

NOT_LIKED = 0.3
"""Weight of a target that was not liked."""

UNKNOWN = 0.01
"""Share of input items that training replaces by the unknown item."""

WARM_UP = 0.05
"""Share of the steps in which the learning rate rises."""

NETWORK_RATE = 0.3
"""Learning rate of the transformer layers as a share of that of the embeddings, which see each item more seldom."""

Progress = Callable[[int, int, float], None]
"""Called with the step, the number of steps, and the loss."""


@dataclass(frozen=True)
class Batch:
    """The arguments of NextItemLoss, and what was liked, for some windows."""

    items: Tensor
    liked: Tensor
    target: Tensor
    weight: Tensor
    before_row: Tensor
    before_item: Tensor


def fit(
    model: Encoder,
    events: Sequences,
    settings: TrainSettings,
    progress: Progress,
    epoch_done: Callable[[int], None] = lambda epoch: None,
) -> None:
    """Train the encoder in place.

    Args:
        model: the encoder.
        events: training events.
        settings: epochs, batch, learning rate, seed.
        progress: called after each step.
        epoch_done: called after each epoch with its number, from 1.
    """
    rng = np.random.default_rng(settings.seed)
    per_epoch = -(-len(windows(events, settings.history, np.random.default_rng(0))) // settings.encoder_batch)
    steps = per_epoch * settings.encoder_epochs
    layers = list(model.blocks.parameters())
    of_layers = {id(weight) for weight in layers}
    groups: list[dict[str, Any]] = [
        {"params": [weight for weight in model.parameters() if id(weight) not in of_layers]},
        {"params": layers, "lr": settings.encoder_rate * NETWORK_RATE},
    ]
    optimizer = torch.optim.AdamW(groups, settings.encoder_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    step = 0
    for epoch in range(1, settings.encoder_epochs + 1):
        model.train()
        now = shuffled(events, rng)
        cut = windows(now, settings.history, rng)
        for chosen in batches(cut, settings.encoder_batch, rng):
            step += 1
            loss = train_step(model, optimizer, _batch(now, cut, chosen))
            schedule.step()
            progress(step, max(steps, step), loss)
        model.eval()
        epoch_done(epoch)


def train_step(model: Encoder, optimizer: torch.optim.Optimizer, batch: Batch) -> float:
    """One step; the loss before it."""
    shown = torch.where(torch.rand(batch.items.shape) < UNKNOWN, 0, batch.items)
    hidden = model.hidden(shown, batch.liked)
    loss = NextItemLoss.apply(
        hidden,
        model.items.weight,
        model.bias,
        batch.items,
        batch.target,
        batch.weight,
        batch.before_row,
        batch.before_item,
    )
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())


def _batch(events: Sequences, cut: Windows, chosen: np.ndarray) -> Batch:
    n, start = cut.n[chosen], cut.start[chosen]
    length = int(n.max())
    inside = np.arange(length) < n[:, None]
    place = np.where(inside, start[:, None] + np.arange(length), start[:, None])
    target = np.where(inside, place + 1, place)
    weight = np.where(events.liked[target] == 1, 1.0, NOT_LIKED) * inside
    earlier = start - cut.user_start[chosen]
    row = np.repeat(np.arange(len(chosen)), earlier)
    within = np.arange(len(row)) - np.repeat(np.cumsum(earlier) - earlier, earlier)
    before = events.itemid[cut.user_start[chosen][row] + within]
    return Batch(
        items=torch.from_numpy(np.where(inside, events.itemid[place], 0)),
        liked=torch.from_numpy(np.where(inside, events.liked[place], 0)),
        target=torch.from_numpy(events.itemid[target]),
        weight=torch.from_numpy(weight.astype(np.float32)),
        before_row=torch.from_numpy(row),
        before_item=torch.from_numpy(before),
    )


def _rate(step: int, steps: int) -> float:
    """Share of the learning rate: a linear rise, then half a cosine down to a hundredth."""
    rise = max(1, round(steps * WARM_UP))
    if step < rise:
        return (step + 1) / rise
    share = min((step - rise) / max(1, steps - rise), 1.0)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share))
