"""Training of the order of lists on validation events: which of the recalled candidates came next.

The encoder and P(like) have not seen these events, so that what the order learns to make of them holds in serving.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from offline import ranking_metrics
from offline.data.history import Floats
from offline.data.readers import Ints
from offline.models.ranker import Ranker
from offline.models.reranker import Reranker
from offline.train.lists import CandidateLists
from scoring import Lists

EPOCHS = 8
BATCH = 64
"""Lists of a step."""

RATE = 3e-3
DECAY = 1e-4
HELD_OUT = 4
"""One list in this many measures the order; at the end the order is trained on all."""

Progress = Callable[[int, int, float], None]
"""Called with the step, the number of steps, and the loss."""


@dataclass(frozen=True)
class ScoredLists:
    """Lists with all that the order reads: FP32 [B, K], `inputs` FP32 [B, K, width], `wanted` INT64 [B]."""

    following: Tensor
    probability: Tensor
    like: Tensor
    inputs: Tensor
    wanted: Tensor

    def order(self, model: Reranker, chosen: Tensor) -> Tensor:
        """Scores of some of the lists, FP32 [chosen, K]."""
        return model.combine(self.following[chosen], self.probability[chosen], self.inputs[chosen])


@torch.inference_mode()
def scored(model: Ranker, parts: list[CandidateLists]) -> ScoredLists:
    """Run all but the order."""
    made: list[list[Tensor]] = []
    for part in parts:
        inputs = (torch.from_numpy(tensor) for tensor in part.inputs.tensors().values())
        outputs = [output.view(*part.shape, *output.shape[1:]) for output in model.parts(*inputs)]
        made.append([*outputs, torch.from_numpy(part.wanted)])
    return ScoredLists(*(torch.cat(values) for values in zip(*made, strict=True)))


def fit(model: Reranker, all_: ScoredLists, seed: int, progress: Progress) -> dict[str, dict[str, float]]:
    """Train the order in place.

    Returns:
        {"recall_validation", "pipeline_validation"}: metrics on lists held out from a first training, before the second
        on all of them.
    """
    begin = {name: value.clone() for name, value in model.state_dict().items()}
    known = torch.arange(len(all_.wanted))
    held_out = known[known % HELD_OUT == 0]
    steps = _steps(len(known) - len(held_out)) + _steps(len(known))
    _fit(model, all_, known[known % HELD_OUT != 0], seed, 0, steps, progress)
    with torch.inference_mode():
        order = all_.order(model, held_out)
    wanted = all_.wanted[held_out]
    found = {
        "recall_validation": ranking_metrics.of_ranks(_ranks(all_.following[held_out], wanted)),
        "pipeline_validation": ranking_metrics.of_ranks(_ranks(order, wanted)),
    }
    model.load_state_dict(begin)
    _fit(model, all_, known, seed, _steps(len(known) - len(held_out)), steps, progress)
    return found


def ranks(model: Reranker, all_: ScoredLists) -> Ints:
    """Place of the item that came next in each list, MISSED where it is not in it; INT64 [B]."""
    with torch.inference_mode():
        score = all_.order(model, torch.arange(len(all_.wanted)))
    return _ranks(score, all_.wanted)


def head_values(model: Reranker, all_: ScoredLists) -> dict[str, Floats]:
    """Each output of the ranker for all candidates of the lists, FP32 [B * K]."""
    with torch.inference_mode():
        score = torch.cat([all_.order(model, some) for some in torch.split(torch.arange(len(all_.wanted)), 256)])
    values = {"next": all_.following, "like": torch.sigmoid(all_.like), "score": score}
    return {name: value.reshape(-1).numpy() for name, value in values.items()}


def _steps(count: int) -> int:
    return -(-count // BATCH) * EPOCHS


def _fit(
    model: Reranker, all_: ScoredLists, some: Tensor, seed: int, before: int, steps: int, progress: Progress
) -> None:
    hit = some[all_.wanted[some] >= 0]
    if not len(hit):
        return
    torch.manual_seed(seed)
    flat = all_.inputs.flatten(0, 1)
    model.mean.copy_(flat.mean(0))
    model.scale.copy_(1.0 / flat.std(0).nan_to_num().clamp(min=1e-3))
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, total_iters=_steps(len(hit)))
    step = before
    model.train()
    for _ in range(EPOCHS):
        for chosen in torch.split(hit[torch.randperm(len(hit))], BATCH):
            step += 1
            loss = F.cross_entropy(all_.order(model, chosen), all_.wanted[chosen])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            progress(step, steps, float(loss.detach()))
    model.eval()


def _ranks(score: Tensor, wanted: Tensor) -> Ints:
    """Place of the wanted candidate of each list, MISSED where there is none; INT64 [B]."""
    place = np.broadcast_to(np.arange(score.shape[1]), score.shape)  # the candidates ascend by id
    return Lists.ordered(place, score.numpy()).rank_of(wanted.numpy())
