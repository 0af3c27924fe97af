"""Training of a sequence encoder."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from features.dataset.codes import Codes
from offline.data.history import Floats
from offline.data.windows import Sequences, Windows, batches, shuffled, windows
from offline.models.encoder import Encoder
from offline.models.softmax import NextItemLoss, Sample, probabilities
from offline.models.targets import Bools, firsts, weights

OTHERS = 0.3
"""Share of the first events with an item that are no discoveries which an epoch keeps as targets, at random."""

UNKNOWN = 0.01
"""Share of input items that training replaces by the unknown item."""

WARM_UP = 0.05
"""Share of the steps in which the learning rate rises."""

NETWORK_RATE = 0.3
"""Learning rate of the transformer layers as a share of that of the embeddings, which see each item more seldom."""

Progress = Callable[[int, int, float], None]
"""Called with the step, the number of steps, and the loss."""


@dataclass(frozen=True)
class Plan:
    """The schedule of a training: passes over the events, windows in a step, learning rate, seed."""

    epochs: int
    batch: int
    rate: float
    seed: int


@dataclass(frozen=True)
class Batch:
    """Inputs of some windows INT64 [B, L], and the arguments of NextItemLoss for the kept positions.

    Attributes:
        items, liked: the inputs.
        kept: places of the kept positions among B * L, INT64 [N].
        target: INT64 [N].
        weight: of each target, FP32 [N].
        seen_row, seen_item: what was hidden from the user at each kept position, INT64 [K].
    """

    items: Tensor
    liked: Tensor
    kept: Tensor
    target: Tensor
    weight: Tensor
    seen_row: Tensor
    seen_item: Tensor


@dataclass(frozen=True)
class Epoch:
    """Training events in the order of an epoch.

    Attributes:
        events: the events.
        first: True for a user's first event with an item, [events].
        weight: as a target, FP32 [events].
        hides: True for an event that hides its item, [events].
    """

    events: Sequences
    first: Bools
    weight: Floats
    hides: Bools

    @classmethod
    def of(cls, codes: Codes, events: Sequences) -> Epoch:
        """Of some events."""
        return cls(events, firsts(events), weights(codes, events), codes.hides_array[events.code])


def fit(
    model: Encoder,
    codes: Codes,
    events: Sequences,
    plan: Plan,
    progress: Progress,
    epoch_done: Callable[[int], bool] = lambda epoch: True,
    checkpoint: Path | None = None,
) -> None:
    """Train the encoder in place, on the device where it is.

    Args:
        model: the encoder.
        codes: of the data set.
        events: training events.
        plan: how.
        progress: called after each step.
        epoch_done: called after each epoch with its number, from 1; training ends where it says False.
        checkpoint: file that the state is kept in after each epoch; where it is there, training goes on from it.
    """
    rng = np.random.default_rng(plan.seed)
    torch.manual_seed(plan.seed)
    per_epoch = -(-len(windows(events, model.history, np.random.default_rng(0))) // plan.batch)
    steps = per_epoch * plan.epochs
    optimizer = _optimizer(model, plan.rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    sampled = probabilities(torch.from_numpy(events.item), model.size)
    step, done = 0, 0
    if checkpoint is not None and checkpoint.is_file():
        step, done = _resume(checkpoint, model, optimizer, schedule, rng)
    for epoch in range(done + 1, plan.epochs + 1):
        model.train()
        now = Epoch.of(codes, shuffled(events, rng))
        cut = windows(now.events, model.history, rng)
        for chosen in batches(cut, plan.batch, rng):
            step += 1
            loss = train_step(model, optimizer, _batch(now, cut, chosen, rng), sampled)
            schedule.step()
            progress(step, max(steps, step), loss)
        model.eval()
        goes_on = epoch_done(epoch)
        if checkpoint is not None:
            _keep(checkpoint, model, optimizer, schedule, rng, (step, epoch))
        if not goes_on:
            break
    model.eval()


def train_step(model: Encoder, optimizer: torch.optim.Optimizer, batch: Batch, sampled: Tensor | None = None) -> float:
    """One step; the loss before it.

    Args:
        model: the encoder.
        optimizer: of its weights.
        batch: what it learns from.
        sampled: the probability of each item to be in the softmax, FP32 [size]; None: all are.
    """
    device = model.bias.device
    shown = torch.where(torch.rand(batch.items.shape) < UNKNOWN, 0, batch.items)
    hidden = model.hidden(shown.to(device), batch.liked.to(device))
    table: Tensor = model.items.weight
    bias: Tensor = model.bias
    correction = None
    target, seen_row, seen_item = batch.target, batch.seen_row, batch.seen_item
    if sampled is not None:
        sample = Sample.of(sampled, target)
        items, correction = sample.items.to(device), sample.correction.to(device)
        table, bias = table[items], bias[items]
        target, _ = sample.rows_of(target)
        seen_item, among = sample.rows_of(seen_item)
        seen_row, seen_item = seen_row[among], seen_item[among]
    loss = NextItemLoss.apply(
        hidden.flatten(0, 1)[batch.kept.to(device)],
        table,
        bias,
        target.to(device),
        batch.weight.to(device),
        seen_row.to(device),
        seen_item.to(device),
        correction,
    )
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())


Schedule = torch.optim.lr_scheduler.LambdaLR


def _keep(
    path: Path,
    model: Encoder,
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
    rng: np.random.Generator,
    at: tuple[int, int],
) -> None:
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "numpy": rng.bit_generator.state,
        "torch": torch.get_rng_state(),
        "at": at,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    torch.save(state, new)
    new.rename(path)


def _resume(
    path: Path, model: Encoder, optimizer: torch.optim.Optimizer, schedule: Schedule, rng: np.random.Generator
) -> tuple[int, int]:
    """(steps, epochs) done."""
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    rng.bit_generator.state = state["numpy"]
    torch.set_rng_state(state["torch"])
    step, epoch = state["at"]
    return step, epoch


def _optimizer(model: Encoder, rate: float) -> torch.optim.Optimizer:
    layers = list(model.blocks.parameters())
    of_layers = {id(weight) for weight in layers}
    groups: list[dict[str, Any]] = [
        {"params": [weight for weight in model.parameters() if id(weight) not in of_layers]},
        {"params": layers, "lr": rate * NETWORK_RATE},
    ]
    return torch.optim.AdamW(groups, rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)


def _batch(epoch: Epoch, cut: Windows, chosen: np.ndarray, rng: np.random.Generator) -> Batch:
    events, n, start = epoch.events, cut.n[chosen], cut.start[chosen]
    length = int(n.max())
    inside = np.arange(length) < n[:, None]
    place = np.where(inside, start[:, None] + np.arange(length), start[:, None])
    target = np.where(inside, place + 1, place)
    others = epoch.first[target] & (rng.random(place.shape) < OTHERS)
    kept = np.flatnonzero(inside & (events.target[target] | others))
    if not len(kept):
        kept = np.flatnonzero(inside)
    first, last = np.repeat(cut.user_start[chosen], length)[kept], place.reshape(-1)[kept]
    seen = last - first + 1
    row = np.repeat(np.arange(len(kept)), seen)
    past = first[row] + np.arange(len(row)) - np.repeat(np.cumsum(seen) - seen, seen)
    hidden = epoch.hides[past]
    if not hidden.all():
        row, past = row[hidden], past[hidden]
    of_kept = target.reshape(-1)[kept]
    return Batch(
        items=torch.from_numpy(np.where(inside, events.item[place], 0)),
        liked=torch.from_numpy((inside & events.positive[place]).astype(np.int64)),
        kept=torch.from_numpy(kept),
        target=torch.from_numpy(events.item[of_kept]),
        weight=torch.from_numpy(epoch.weight[of_kept]),
        seen_row=torch.from_numpy(row),
        seen_item=torch.from_numpy(events.item[past]),
    )


def _rate(step: int, steps: int) -> float:
    """Share of the learning rate: a linear rise, then half a cosine down to a hundredth."""
    rise = max(1, round(steps * WARM_UP))
    if step < rise:
        return (step + 1) / rise
    share = min((step - rise) / max(1, steps - rise), 1.0)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share))
