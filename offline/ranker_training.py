"""Training of the ranker's P(like)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812

from features import LIKED
from offline.data import Ints, Ratings
from offline.ranker import Ranker
from settings import TrainSettings

Floats = npt.NDArray[np.float32]

UNKNOWN_USERS = 0.1
UNKNOWN_ITEMS = 0.02
"""Shares of pairs whose id training replaces by the unknown one."""

DECAY = 3e-5
"""Weight decay of the id tables, without which they learn the training users by heart."""

Progress = Callable[[int, int, float], None]
"""Called with the step, the number of steps, and the loss."""


def labels(ratings: Ratings, places: Ints) -> Floats:
    """1 where the event is a like, FP32 [places]."""
    return (ratings.rating[places] >= LIKED).astype(np.float32)


def fit(
    model: Ranker,
    ids: Ints,
    dense: Floats,
    label: Floats,
    settings: TrainSettings,
    progress: Progress,
) -> None:
    """Train the ranker in place on events: `ids` [N, 5], `dense` [N, 32], `label` [N]; `progress` after each step."""
    ids_, dense_, label_ = torch.from_numpy(ids), torch.from_numpy(dense), torch.from_numpy(label)
    tables = [model.user.weight, model.item.weight, model.user_bias.weight, model.item_bias.weight]
    of_table = {id(table) for table in tables}
    others = [weight for weight in model.parameters() if id(weight) not in of_table]
    groups = [{"params": tables, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.Adam(groups, settings.ranker_rate)
    steps = -(-len(ids) // settings.ranker_batch) * settings.ranker_epochs
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, total_iters=steps)
    step = 0
    model.train()
    for _ in range(settings.ranker_epochs):
        for chosen in torch.split(torch.randperm(len(ids)), settings.ranker_batch):
            step += 1
            some = ids_[chosen]
            some[:, 0].masked_fill_(torch.rand(len(some)) < UNKNOWN_USERS, 0)
            some[:, 1].masked_fill_(torch.rand(len(some)) < UNKNOWN_ITEMS, 0)
            loss = F.binary_cross_entropy_with_logits(model.like_logit(some, dense_[chosen]), label_[chosen])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            progress(step, steps, float(loss.detach()))
    model.eval()


@torch.inference_mode()
def like(model: Ranker, ids: Ints, dense: Floats, batch: int = 65_536) -> Floats:
    """P(like) of pairs, FP32 [N]."""
    parts = [
        torch.sigmoid(
            model.like_logit(
                torch.from_numpy(ids[start : start + batch]), torch.from_numpy(dense[start : start + batch])
            )
        ).numpy()
        for start in range(0, len(ids), batch)
    ]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)
