"""Training of P(like) on blocks of successive events of a user, whose tastes are differences of running sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from features import Schema
from offline.data.readers import Ints
from offline.data.windows import Sequences
from offline.models.p_like import PLike, damped
from offline.models.similar import levels, usual

Floats = npt.NDArray[np.float32]

UNKNOWN_USERS = 0.1
UNKNOWN_ITEMS = 0.02
"""Shares of pairs whose id training replaces by the unknown one."""

DECAY = 5e-5
"""Weight decay of the id tables, without which they learn the training users by heart."""

BLOCK = 16
"""Most events of a block."""

Progress = Callable[[int, int, float], None]
"""Called with the step, the number of steps, and the loss."""


@dataclass(frozen=True)
class Pairs:
    """Events as the ranker sees them, in the order of `events`.

    Attributes:
        events: the events.
        ids: INT64 [N, columns], as in `Schema.ids`.
        inputs: FP32 [N, width], see `offline.models.p_like`.
    """

    events: Sequences
    ids: Ints
    inputs: Floats


@dataclass(frozen=True)
class Blocks:
    """Runs of at most BLOCK events: where the block and its user's events start, and events; INT64 [blocks] each."""

    start: Ints
    user_start: Ints
    n: Ints


@dataclass(frozen=True)
class Schedule:
    """The settings by which a model is trained.

    Attributes:
        history: events that a taste is made of.
        epochs: passes over the events.
        batch: events of a step.
        rate: learning rate at the first step.
    """

    history: int
    epochs: int
    batch: int
    rate: float


def fit(model: PLike, pairs: Pairs, places: Ints, schedule: Schedule, progress: Progress) -> None:
    """Train in place.

    Args:
        model: the model.
        pairs: events.
        places: of the events to learn from, INT64, ascending; those before them are only their histories.
        schedule: passes, events of a step, and learning rate.
        progress: called after each step.
    """
    cut = _blocks(pairs.events, places)
    tables = [
        table.weight
        for table in (model.user, model.item, model.user_bias, model.item_bias, model.rated, model.seen, model.target)
    ]
    of_table = {id(table) for table in tables}
    others = [weight for weight in model.parameters() if id(weight) not in of_table]
    groups = [{"params": tables, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.Adam(groups, schedule.rate, fused=True)
    size = max(1, schedule.batch // BLOCK)
    steps = -(-len(cut.start) // size) * schedule.epochs
    decline = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, total_iters=steps)
    step = 0
    model.train()
    for _ in range(schedule.epochs):
        for chosen in torch.split(torch.randperm(len(cut.start)), size):
            step += 1
            taste, of = _tastes(model, pairs.events, cut, chosen.numpy(), schedule.history)
            some = torch.from_numpy(pairs.ids[of])
            some[:, 0].masked_fill_(torch.rand(len(some)) < UNKNOWN_USERS, 0)
            some[:, 1].masked_fill_(torch.rand(len(some)) < UNKNOWN_ITEMS, 0)
            label = torch.from_numpy(pairs.events.positive[of].astype(np.float32))
            loss = F.binary_cross_entropy_with_logits(model(taste, some, torch.from_numpy(pairs.inputs[of])), label)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            decline.step()
            progress(step, steps, float(loss.detach()))
    model.eval()


@torch.inference_mode()
def logits(model: PLike, pairs: Pairs, places: Ints, history: int) -> Floats:
    """Logits of the events at `places`, each from those before it; FP32 [places]."""
    cut = _blocks(pairs.events, places)
    found = np.full(len(pairs.events.item), np.nan, dtype=np.float32)
    for start in range(0, len(cut.start), 512):
        taste, of = _tastes(model, pairs.events, cut, np.arange(start, min(start + 512, len(cut.start))), history)
        found[of] = model(taste, torch.from_numpy(pairs.ids[of]), torch.from_numpy(pairs.inputs[of])).numpy()
    return found[places]


def _blocks(events: Sequences, places: Ints) -> Blocks:
    """Cut runs of successive places of a user into blocks."""
    user = np.searchsorted(events.start, places, "right") - 1
    begins = np.ones(len(places), dtype=bool)
    begins[1:] = (np.diff(places) != 1) | (user[1:] != user[:-1])
    run_start = np.flatnonzero(begins)[np.cumsum(begins) - 1]
    begins |= (np.arange(len(places)) - run_start) % BLOCK == 0
    first = np.flatnonzero(begins)
    return Blocks(places[first], events.start[user[first]], np.diff(np.append(first, len(places))))


def _tastes(model: PLike, events: Sequences, cut: Blocks, chosen: Ints, history: int) -> tuple[Tensor, Ints]:
    """(tastes before each event of some blocks FP32 [N, TASTE + 1], places of these events INT64 [N])."""
    start, user_start, n = cut.start[chosen], cut.user_start[chosen], cut.n[chosen]
    place = start[:, None] - history + np.arange(history + int(n.max()) - 1)
    known = (place >= user_start[:, None]) & (place < (start + n)[:, None])
    place = np.where(known, place, 0)
    items = torch.from_numpy(np.where(known, events.item[place], 0))
    sums = F.pad(model.says(items, torch.from_numpy(events.code[place])).cumsum(1), (0, 0, 1, 0))
    row = np.repeat(np.arange(len(start)), n)
    within = np.arange(len(row)) - np.repeat(np.cumsum(n) - n, n)
    of = start[row] + within
    length = torch.from_numpy(np.minimum(of - user_start[row], history))
    return (sums[row, within + history] - sums[row, within]) / damped(length), of


@dataclass(frozen=True)
class Task:
    """One model to train: the data set, rows of its tables, and the arguments of `fit`."""

    schema: Schema
    users: int
    items: int
    pairs: Pairs
    places: Ints
    schedule: Schedule
    seed: int

    def __call__(self, told: Callable[[tuple[int, int, float]], None]) -> dict[str, npt.NDArray[np.generic]]:
        torch.manual_seed(self.seed)
        model = self.model()
        of, events = self.places, self.pairs.events
        level = levels(self.schema.codes, events.code[of])
        model.set_usual(torch.from_numpy(usual(events.item[of], level, self.items)))

        def progress(step: int, steps: int, loss: float) -> None:
            told((step, steps, loss))

        fit(model, self.pairs, of, self.schedule, progress)
        return {name: value.numpy() for name, value in model.state_dict().items()}

    def model(self) -> PLike:
        """Before training."""
        rows = self.pairs.inputs[self.places]
        return PLike(self.schema, self.users, self.items, torch.from_numpy(rows.mean(0)), torch.from_numpy(rows.std(0)))

    def trained(self, weights: dict[str, npt.NDArray[np.generic]]) -> PLike:
        """With the weights that the task returned."""
        model = self.model()
        model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
        return model.eval()
