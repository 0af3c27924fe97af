"""A small reference and streams of its distribution, or of another: of MovieLens, or of another data set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drift import Reference, Series
from drift.events import NO_LIST, Events, Scored
from drift.monitor import Plan
from drift.reference import Scores
from features import Schema
from tests.movielens import SCHEMA

SERIES = Series(SCHEMA)

PLAN = Plan(window=200, strides=4, stride_s=100.0, patience=3)


def drawn(count: int, seed: int, shift: float = 0.0, schema: Schema = SCHEMA) -> tuple[np.ndarray, np.ndarray]:
    """(rows [count, columns], liked [count]); `shift` moves the first feature."""
    rng = np.random.default_rng(seed)
    numbers, columns = len(schema.dense_names), len(schema.dense_columns)
    rows = rng.normal(size=(count, columns)).astype(np.float32)
    rows[:, 0] += shift
    rows[:, numbers:] = rng.random((count, columns - numbers)) < 0.3
    return rows, rng.random(count) < 0.6


def reference(schema: Schema = SCHEMA) -> Reference:
    rows, liked = drawn(4000, 1, schema=schema)
    rng = np.random.default_rng(2)
    scores = {name: rng.random(2000) for name in ("next", "like", "score")}
    quality = dict.fromkeys(("auc", "logloss", "ece", "label_rate", "hit10", "hit50"), 0.5)
    return Reference.of(Series(schema), np.arange(4000), rows, liked, Scores(scores, np.arange(2000)), quality, 3)


def events(
    count: int,
    seed: int,
    *,
    partition: int = 0,
    begin: int = 0,
    shift: float = 0.0,
    at: float = 0.0,
    schema: Schema = SCHEMA,
) -> Events:
    rows, liked = drawn(count, seed, shift, schema)
    offset = np.arange(begin, begin + count, dtype=np.int64)
    return Events(partition, offset, 1000 + offset, liked, rows, at)


def part(whole: Events, begin: int, end: int) -> Events:
    at = slice(begin, end)
    return replace(whole, offset=whole.offset[at], ts=whole.ts[at], liked=whole.liked[at], rows=whole.rows[at])


def scored(of: Events, every: int = 5) -> Scored:
    """Scores of every fifth event, drawn from its offset."""
    place = np.flatnonzero(of.offset % every == 0)
    values = np.random.default_rng(9).random((100_000, 3))[of.offset[place] % 100_000]
    ranks = np.where(of.liked[place], of.offset[place] % 60, NO_LIST)
    return Scored("run", place, values, ranks, [("gender:F", "history:20-99")] * len(place))
