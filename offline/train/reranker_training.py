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

from features.columns import ItemTable
from offline import ranking_metrics
from offline.data.history import Floats
from offline.data.point_in_time import PriorStates
from offline.data.readers import Ints, Ratings
from offline.models.ranker import Ranker
from offline.models.reranker import Reranker
from offline.train import lists

CANDIDATES = 200
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
class CandidateLists:
    """The best candidates of recall for B states, K each.

    Attributes:
        user_vector: FP32 [B, D + 1].
        items, rating: histories, INT64 [B, H].
        ids, dense: the ranker's inputs, INT64 [B * K, 5] and FP32 [B * K, 32].
        wanted: place among the candidates of the item that came next, -1 where it is none of them; INT64 [B].
    """

    user_vector: Floats
    items: Ints
    rating: Ints
    ids: Ints
    dense: Floats
    wanted: Ints

    @classmethod
    def of(
        cls, states: PriorStates, vectors: Floats, encode: lists.Encode, ratings: Ratings, table: ItemTable
    ) -> CandidateLists:
        """The lists of recall for some states; `vectors` by ascending itemid."""
        recalled = lists.recall(states, vectors, encode)
        column = lists.best(recalled, CANDIDATES)
        hit = column == lists.wanted_column(ratings, states)[:, None]
        wanted = np.where(hit.any(1), hit.argmax(1), -1)
        ids, dense = lists.pairs(states, column, ratings, table)
        return cls(recalled.user_vector, states.items, states.rating, ids, dense, wanted)

    @classmethod
    def of_events(
        cls, states: PriorStates, vectors: Floats, encode: lists.Encode, ratings: Ratings, table: ItemTable
    ) -> CandidateLists:
        """Lists of one candidate: the item that came next."""
        recalled = lists.recall(states, vectors, encode)
        column = lists.wanted_column(ratings, states)[:, None]
        ids, dense = lists.pairs(states, column, ratings, table)
        return cls(recalled.user_vector, states.items, states.rating, ids, dense, np.zeros_like(column[:, 0]))

    @property
    def length(self) -> int:
        """Candidates of a list."""
        return len(self.ids) // len(self.wanted)


@dataclass(frozen=True)
class ScoredLists:
    """Lists with all that the order reads: FP32 [B, K], `inputs` FP32 [B, K, INPUTS], `wanted` INT64 [B]."""

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
        size = len(part.wanted)
        row = torch.arange(size).repeat_interleave(part.length)
        vector, items, rating, ids, dense, wanted = (
            torch.from_numpy(values)
            for values in (part.user_vector, part.items, part.rating, part.ids, part.dense, part.wanted)
        )
        outputs = model.parts(vector, items, rating, row, ids, dense)
        made.append([output.view(size, part.length, *output.shape[1:]) for output in outputs] + [wanted])
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
    """Place of the item that came next in each list, lists.MISSED where it is not in it; INT64 [B]."""
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
    model.scale.copy_(1.0 / flat.std(0).clamp(min=1e-3))
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
    """Place of the wanted candidate of each list, lists.MISSED where there is none; INT64 [B]."""
    of = score.gather(1, wanted.clamp(min=0)[:, None])
    rank: Ints = torch.where(wanted >= 0, (score > of).sum(1), lists.MISSED).numpy()
    return rank
