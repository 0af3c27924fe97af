"""Training of the encoders that are served as one, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from features.dataset.codes import Codes
from offline import ranking_metrics
from offline.data.windows import Sequences
from offline.models.encoder import Encoder
from offline.train import encoder_training, parallel
from offline.train.encoder_training import Plan
from offline.train.validation import Validation
from settings import TrainSettings

Curve = list[dict[str, float]]
"""Metrics on validation events after each epoch."""

Weights = dict[str, npt.NDArray[np.generic]]

Progress = Callable[[int, int, str], None]
"""Called with steps of all encoders done, steps in all, and a word on how it goes."""


@dataclass(frozen=True)
class Task:
    """One encoder to train.

    Attributes:
        weights: to begin with; None for random ones.
        codes: of the data set.
        size: rows of the item table.
        settings: its shape.
        events: training events.
        plan: how to train.
        validation: validation events that it is measured on after each epoch.
        checkpoint: as in `encoder_training.fit`.
    """

    weights: Weights | None
    codes: Codes
    size: int
    settings: TrainSettings
    events: Sequences
    plan: Plan
    validation: Validation | None
    checkpoint: Path

    def __call__(self, told: parallel.Told) -> tuple[Weights, Curve]:
        torch.manual_seed(self.plan.seed)
        model = self.model()
        if self.weights is not None:
            given = {name: torch.from_numpy(value) for name, value in self.weights.items() if name != "known"}
            model.load_state_dict(given, strict=False)
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        curve: Curve = []

        best = Best(model, self.settings.encoder_patience)

        def epoch_done(epoch: int) -> bool:
            if self.validation is None:
                return True
            curve.append(ranking_metrics.of_ranks(self.validation.ranks(model)))
            return best.goes_on(curve[-1]["ndcg@10"])

        def step_done(step: int, steps: int, loss: float) -> None:
            note = f" HR@10 {curve[-1]['hr@10']:.3f}" if curve else ""
            told((step, steps, f"loss {loss:.3f}{note}"))

        encoder_training.fit(model, self.codes, self.events, self.plan, step_done, epoch_done, self.checkpoint)
        best.take()
        return {name: value.cpu().numpy() for name, value in model.state_dict().items()}, curve

    def model(self) -> Encoder:
        """Before training."""
        return Encoder(torch.from_numpy(np.unique(self.events.item)), self.size, self.settings)


class Best:
    """Keeps the weights of the best epoch, and says when there is no better one to be expected.

    Args:
        model: the model in training.
        patience: epochs without a better one after which it stops.
    """

    def __init__(self, model: nn.Module, patience: int) -> None:
        self._model, self._patience = model, patience
        self._value, self._weights, self._since = -1.0, model.state_dict(), 0

    def goes_on(self, value: float) -> bool:
        """Return whether to continue after an epoch with this value (larger is better)."""
        if value > self._value:
            self._value, self._since = value, 0
            self._weights = {name: weight.clone() for name, weight in self._model.state_dict().items()}
        else:
            self._since += 1
        return self._since < self._patience

    def take(self) -> None:
        """Give the model the weights of its best epoch; where none was told, it keeps its own."""
        self._model.load_state_dict(self._weights)


def train(tasks: Sequence[Task], workers: parallel.Workers, progress: Progress) -> tuple[list[Encoder], list[Curve]]:
    """Train encoders; each with its curve."""
    done: dict[int, tuple[int, int]] = {}

    def told(number: int, what: tuple[int, int, str]) -> None:
        done[number] = what[:2]
        steps = what[1] * len(tasks)
        progress(min(sum(step for step, _ in done.values()), steps), steps, what[2])

    results = workers.run(tasks, told)
    encoders = []
    for task, (weights, _) in zip(tasks, results, strict=True):
        model = task.model()
        model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
        encoders.append(model.eval())
    return encoders, [curve for _, curve in results]


def weights_of(model: Encoder) -> Weights:
    """As `Task` takes them."""
    return {name: value.numpy() for name, value in model.state_dict().items()}
