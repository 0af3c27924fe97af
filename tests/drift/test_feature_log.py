"""The feature log: what is packed comes back, and samples are as many as there is time for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import IdKind, Schema
from stores import FeatureBatch, Sampled
from stores.kafka.feature_log import MOST, FeatureLogError
from stream.fold.sampling import Sampler
from tests import movielens, shop

SCHEMAS = st.sampled_from([movielens.SCHEMA, shop.SCHEMA])


def batch(count: int, sampled: list[int], schema: Schema = movielens.SCHEMA) -> FeatureBatch:
    rng = np.random.default_rng(count)
    columns = rng.integers(0, 2**40, (5, count))
    offset, ts, users, items, _ = columns
    offset, code = np.cumsum(rng.integers(1, 1000, count)), rng.integers(1, schema.codes.size, count)
    texts = schema.user_ids is IdKind.STRING
    userid, itemid = (
        np.array([f"id {number}" for number in ids], dtype=object) if texts else ids for ids in (users, items)
    )
    rows = rng.normal(size=(count, len(schema.dense_columns))).astype(np.float32)
    attributes = [place - 1 for place in range(len(schema.user_attributes))]
    recent = (1, "an item" if texts else 2, 3)
    weights = [{0: place - 2**70, 1: 2**64 - 1} for place, _ in enumerate(schema.terms)]
    samples = [
        Sampled(place, attributes, place, [recent] * (place % 3), [place] * (place % 2), weights * (place % 2))
        for place in sampled
    ]
    return FeatureBatch(3, offset, ts, userid, itemid, code, rng.random(count), rows, samples)


def same(one: FeatureBatch, other: FeatureBatch) -> None:
    assert one.partition == other.partition
    for name in ("offset", "ts", "userid", "itemid", "code", "created", "rows"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert (one.userids, one.itemids) == (other.userids, other.itemids)
    assert [(each.place, each.n, each.user, list(each.attributes), each.weights) for each in one.sampled] == [
        (each.place, each.n, each.user, list(each.attributes), each.weights) for each in other.sampled
    ]
    assert [[tuple(event) for event in each.recent] for each in other.sampled] == [each.recent for each in one.sampled]


@given(SCHEMAS, st.integers(1, 40), st.sets(st.integers(0, 39)))
def test_a_batch_comes_back_as_it_was(schema: Schema, count: int, sampled: set[int]) -> None:
    of = batch(count, sorted(place for place in sampled if place < count), schema)
    same(of, FeatureBatch.unpack(of.pack(schema), schema))


def test_a_batch_of_another_data_set_is_refused() -> None:
    with pytest.raises(FeatureLogError):
        FeatureBatch.unpack(batch(9, [1], shop.SCHEMA).pack(shop.SCHEMA), movielens.SCHEMA)


def test_a_batch_that_is_too_large_goes_in_parts() -> None:
    of = batch(2 * MOST + 10, [0, MOST - 1, MOST, 2 * MOST + 9])
    parts = of.parts()
    assert [len(part) for part in parts] == [MOST, MOST, 10]
    assert [[each.place for each in part.sampled] for part in parts] == [[0, MOST - 1], [0], [9]]
    assert np.array_equal(np.concatenate([part.rows for part in parts]), of.rows)
    assert max(len(part.pack(movielens.SCHEMA)) for part in parts) < 2**20


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 1000)), min_size=1, max_size=30), st.floats(0, 50))
def test_no_more_events_are_sampled_than_a_second_allows(batches: list[tuple[float, int]], per_s: float) -> None:
    now = 0.0
    sampler = Sampler(per_s, lambda: now)
    taken = 0
    for pause, count in batches:
        now += pause
        places = list(sampler.choose(count))
        assert all(0 <= place < count for place in places)
        taken += len(places)
    assert taken <= max(per_s, 1.0) + now * per_s


def test_a_slow_stream_is_sampled_in_full() -> None:
    now = 0.0
    sampler = Sampler(10.0, lambda: now)
    for _ in range(100):
        now += 0.2
        assert list(sampler.choose(1)) == [0]
    assert list(Sampler(0.0).choose(5)) == []
