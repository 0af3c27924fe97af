"""How much of P(like) goes into the order of a list that P(next) makes, chosen on validation events."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from offline import lists, metrics
from offline.data import Ints, Ratings
from offline.encoder import Encoder
from offline.history import Floats, ItemTable
from offline.moments import Moments
from offline.ranker import Ranker

WEIGHTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)
CANDIDATES = 200
SERVED = 50
"""Items of a list by default."""


def encode_with(model: Encoder) -> lists.Encode:
    """The trained encoder as `offline.lists` takes it."""

    @torch.inference_mode()
    def encode(items: Ints, liked: Ints) -> Floats:
        vector: Floats = model(torch.from_numpy(items), torch.from_numpy(liked)).numpy()
        return vector

    return encode


def rank_with(model: Ranker) -> lists.Rank:
    """The trained ranker as `offline.lists` takes it."""

    @torch.inference_mode()
    def rank(user_vector: Floats, ids: Ints, dense: Floats) -> tuple[Floats, Floats, Floats]:
        outputs = model(torch.from_numpy(user_vector), torch.from_numpy(ids), torch.from_numpy(dense))
        return outputs[0].numpy(), outputs[1].numpy(), outputs[2].numpy()

    return rank


def validation_ranks(encoder: Encoder, ratings: Ratings, moments: list[Moments]) -> Ints:
    """Place of each wanted item in the encoder's order of the whole catalogue, INT64 [events]."""
    vectors = catalogue_vectors(encoder, ratings)
    ranks = [
        lists.rank_in(lists.recall(part, vectors, encode_with(encoder)).score, lists.wanted_column(ratings, part))
        for part in moments
    ]
    return np.concatenate(ranks)


def choose_weight(
    encoder: Encoder, ranker: Ranker, ratings: Ratings, moments: list[Moments]
) -> tuple[float, dict[str, float], dict[str, float]]:
    """The weight of logit(P(like)) with the best NDCG@10 among the best CANDIDATES of recall.

    Returns:
        (weight, metrics with it, metrics of recall alone).
    """
    ranks: dict[float, list[Ints]] = {weight: [] for weight in WEIGHTS}
    vectors, table = catalogue_vectors(encoder, ratings), ItemTable(ratings.catalogue)
    for part in moments:
        recalled = lists.recall(part, vectors, encode_with(encoder))
        ranked = lists.rank(part, recalled, ratings, table, rank_with(ranker), CANDIDATES)
        wanted = lists.wanted_column(ratings, part)
        logit = logit_of(ranked.like)
        for weight, found in ranks.items():
            found.append(lists.rank_among(ranked.column, ranked.next + weight * logit, wanted))
    scored = {weight: metrics.of_ranks(np.concatenate(found)) for weight, found in ranks.items()}
    best = max(WEIGHTS, key=lambda weight: scored[weight]["ndcg@10"])
    return best, scored[best], scored[0.0]


def head_values(encoder: Encoder, ranker: Ranker, ratings: Ratings, moments: list[Moments]) -> dict[str, Floats]:
    """Each output of the ranker for the lists of SERVED items at validation events, FP32 [pairs]."""
    vectors, table = catalogue_vectors(encoder, ratings), ItemTable(ratings.catalogue)
    values: dict[str, list[Floats]] = {"next": [], "like": [], "score": []}
    for part in moments:
        recalled = lists.recall(part, vectors, encode_with(encoder))
        ranked = lists.rank(part, recalled, ratings, table, rank_with(ranker), CANDIDATES)
        first = np.argsort(-ranked.score, axis=1)[:, :SERVED]
        for name, value in (("next", ranked.next), ("like", ranked.like), ("score", ranked.score)):
            values[name].append(np.take_along_axis(value, first, axis=1).reshape(-1))
    return {name: np.concatenate(parts) for name, parts in values.items()}


def catalogue_vectors(encoder: Encoder, ratings: Ratings) -> Floats:
    """Item vectors by ascending itemid, FP32 [items, D + 1]."""
    vectors: Floats = encoder.item_vectors().numpy()[sorted(ratings.catalogue.items)]
    return vectors


def logit_of(probability: Floats) -> npt.NDArray[np.float64]:
    """log(p / (1 - p))."""
    inside = np.clip(probability.astype(np.float64), 1e-7, 1 - 1e-7)
    return np.log(inside / (1 - inside))
