"""The lists that the system would have served from given states, made in batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features import Catalogue, dense
from features.columns import ItemTable, user_columns
from offline.data.history import Floats
from offline.data.point_in_time import PriorStates
from offline.data.readers import Ints, Ratings

Encode = Callable[[Ints, Ints], Floats]
"""The user encoder: (items, liked) -> user vectors."""

Rank = Callable[[Floats, Ints, Ints, Ints, Ints, Floats], tuple[Floats, Floats, Floats]]
"""The ranker: (user vectors, items, rating, row, ids, dense) -> (next, like, score)."""

MISSED = 1_000_000
"""Rank of a wanted item that is not among the candidates."""


@dataclass(frozen=True)
class Recalled:
    """Scores of the whole catalogue by the encoder.

    Attributes:
        user_vector: FP32 [B, D + 1].
        score: FP32 [B, items], by ascending itemid, -inf for what the user has rated.
    """

    user_vector: Floats
    score: Floats


@dataclass(frozen=True)
class Ranked:
    """Candidates with the ranker's outputs.

    Attributes:
        column: places in the ascending itemids, INT64 [B, K].
        next, like, score: FP32 [B, K].
    """

    column: Ints
    next: Floats
    like: Floats
    score: Floats


def recall(states: PriorStates, vectors: Floats, encode: Encode) -> Recalled:
    """Score the catalogue; `vectors` are the item vectors by ascending itemid, FP32 [items, D + 1]."""
    user_vector = encode(states.items, states.liked)
    score = user_vector @ vectors.T
    score[states.seen_row, states.seen_column] = -np.inf
    return Recalled(user_vector, score)


def rank(
    states: PriorStates, recalled: Recalled, ratings: Ratings, table: ItemTable, order: Rank, candidates: int
) -> Ranked:
    """Rank the best candidates of recall."""
    column = best(recalled, candidates)
    parts = pairs(states, column, ratings, table)
    shape = column.shape
    row = np.repeat(np.arange(len(column)), shape[1])
    following, like, score = order(recalled.user_vector, states.items, states.rating, row, *parts)
    return Ranked(column, following.reshape(shape), like.reshape(shape), score.reshape(shape))


def best(recalled: Recalled, candidates: int) -> Ints:
    """The best candidates of recall in no order, as places in the ascending itemids; INT64 [B, K]."""
    top = min(candidates, recalled.score.shape[1])
    column: Ints = np.argpartition(-recalled.score, top - 1, axis=1)[:, :top]
    return column


def pairs(states: PriorStates, column: Ints, ratings: Ratings, table: ItemTable) -> tuple[Ints, Floats]:
    """The ranker's inputs `ids` INT64 [B * K, 5] and `dense` FP32 [B * K, 32] for items given as `column` [B, K]."""
    rows, length = column.shape
    userid = np.repeat(ratings.userid[states.place], length)
    itemid = np.array(sorted(ratings.catalogue.items), dtype=np.int64)[column.reshape(-1)]
    row = np.repeat(np.arange(rows), length)
    item = table.columns(itemid, states.item_n[row, column.reshape(-1)], states.item_likes[row, column.reshape(-1)])
    return pair_ids(ratings.catalogue, userid, itemid), dense(user_columns(states.user[row]), item)


def pair_ids(catalogue: Catalogue, userid: Ints, itemid: Ints) -> Ints:
    """The ranker's input `ids`, INT64 [N, 5]."""
    known, row = np.unique(userid, return_inverse=True)
    users = [catalogue.user(user) for user in known.tolist()]
    attributes = np.array([(user.gender, user.age, user.occupation) for user in users], dtype=np.int64).reshape(-1, 3)
    return np.column_stack([userid, itemid, attributes[row]])


def rank_in(score: npt.NDArray[np.floating], column: Ints) -> Ints:
    """Place of each row's wanted column among the scores [B, items], from 0; INT64 [B]."""
    wanted = score[np.arange(len(score)), column]
    place: Ints = (score > wanted[:, None]).sum(axis=1).astype(np.int64)
    return place


def rank_among(candidates: Ints, score: npt.NDArray[np.floating], column: Ints) -> Ints:
    """Place of each row's wanted column among candidates [B, K], from 0; MISSED where it is none of them."""
    hit = candidates == column[:, None]
    wanted = np.where(hit, score, -np.inf).max(axis=1)
    return np.where(hit.any(axis=1), (score > wanted[:, None]).sum(axis=1), MISSED).astype(np.int64)


def wanted_column(ratings: Ratings, states: PriorStates) -> Ints:
    """Place of the item of the event that follows in the ascending itemids, INT64 [B]."""
    itemids = np.array(sorted(ratings.catalogue.items), dtype=np.int64)
    return np.searchsorted(itemids, ratings.itemid[states.place]).astype(np.int64)
