"""The ranker: P(like), the order, and their export."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from features import Schema
from offline.data.readers import Ratings
from offline.data.windows import sequences
from offline.errors import ExportError
from offline.models import export, p_like, similar, softmax
from offline.models.item_pairs import Block, ItemPairs, Kept
from offline.models.neighbours import Neighbours
from offline.models.p_like import PLike
from offline.models.ranker import Ranker, sample_of
from offline.models.reranker import DAMPING, HALF_LIVES, Reranker
from offline.models.similar import Near
from offline.train import p_like_training, parallel
from scoring.inputs import RANKER_INPUTS, attributes_of, pair_ids
from settings import TrainSettings
from tests import movielens
from tests import shop as goods
from tests.movielens import SCHEMA
from tests.offline.test_models import HISTORY, events_of

# Threads that wait for each other lose more than they win on models this small.
torch.set_num_threads(1)

SMALL = TrainSettings(dim=16, layers=1, heads=2, encoder_epochs=3, encoder_batch=16)


def like_model(schema: Schema = SCHEMA) -> PLike:
    inputs = p_like.width(schema)
    return PLike(schema, 10, 8, torch.zeros(inputs), torch.ones(inputs))


def ranker(schema: Schema = SCHEMA) -> Ranker:
    torch.manual_seed(0)
    likes = [like_model(schema) for _ in range(2)]
    near = Near(schema.codes, 8)
    cosine, follows, ease = (
        Block(np.arange(1, 8), table) for table in np.random.default_rng(0).random((3, 7, 7)).astype(np.float32)
    )
    near.set_tables(similar.Similar(torch.full((8,), 3.5), Kept.of(8, [cosine])))
    order = Reranker(schema, 8)
    sums = [np.append(np.float32(0), follows.values.sum(axis)) for axis in (1, 0)]
    order.set_neighbours(Neighbours(Kept.of(8, [follows, ease]), *sums))
    torch.nn.init.normal_(order.linear.weight, std=0.1)
    return Ranker(likes, near, order, torch.randn(8, 5)).eval()


def dense_of(pairs: ItemPairs) -> torch.Tensor:
    """The values of all pairs of known items, FP32 [size, size, tables]."""
    items = torch.arange(1, pairs.size)
    found = pairs(items[None], torch.zeros(pairs.size - 1, dtype=torch.int64), items).transpose(0, 1)
    return torch.nn.functional.pad(found, (0, 0, 1, 0, 1, 0))


def pairs(n: int, schema: Schema = SCHEMA) -> tuple[torch.Tensor, ...]:
    """Inputs of the ranker but `ids`: two users, the first with a history of 3, the second without."""
    items, rating = torch.zeros(2, HISTORY, dtype=torch.int64), torch.zeros(2, HISTORY, dtype=torch.int64)
    codes = torch.tensor([5, 1, 4]).clamp(max=schema.codes.size - 1)
    items[0, :3], rating[0, :3] = torch.tensor([3, 5, 1]), codes
    return torch.randn(2, 5), items, rating, torch.arange(n) % 2, torch.rand(n, len(schema.dense_columns))


def test_next_is_the_encoders_score_and_like_a_mean() -> None:
    model, ids = ranker(), torch.tensor([[1, 2, 0, 3, 20], [9, 7, 1, 6, 0], [4, 1, -1, -1, -1]])
    vector, items, rating, row, dense = pairs(3)
    with torch.inference_mode():
        following, like, score = model(vector, items, rating, row, ids, dense)
        inputs = torch.cat([dense, model.near(items, rating, row, torch.tensor([2, 7, 1]))], 1)
        each = [one(one.taste(items, rating)[row], ids, inputs) for one in model.like_models()]
    torch.testing.assert_close(following, (vector[row] * model.item_vectors[ids[:, 1]]).sum(1))
    torch.testing.assert_close(torch.logit(like), (each[0] + each[1]) / 2)
    assert not torch.allclose(score, following)


def test_the_softmax_over_many_items_is_that_over_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    vectors, users = torch.randn(3000, 9) * 0.4, torch.cat([torch.randn(20, 8), torch.ones(20, 1)], 1)
    assert sample_of(vectors) is None
    monkeypatch.setattr(softmax, "ALL", 100)
    monkeypatch.setattr(softmax, "SAMPLED", 800)
    sample = sample_of(vectors)
    assert sample is not None and 600 < len(sample) < 1000
    every, some = (torch.logsumexp(users @ table.T, 1) for table in (vectors, sample))
    assert (every - some).abs().max() < 0.4 and abs(float((every - some).mean())) < 0.1


def test_the_order_counts_what_follows_the_last_events() -> None:
    model = ranker()
    vector, items, rating, row, dense = pairs(2)
    ids = torch.tensor([[1, 2, 0, 3, 20], [1, 2, 0, 3, 20]])
    with torch.inference_mode():
        inputs = model.parts(vector, items, rating, row, ids, dense)[3]
    follows = dense_of(model.reranker.pairs)[..., 0]
    after = follows / (follows.sum(1, keepdim=True) + DAMPING)
    for place, life in enumerate(HALF_LIVES):
        expected = sum(0.5 ** (age / life) * after[item, 2].item() for age, item in enumerate((1, 5, 3)))
        assert inputs[0, place].item() == pytest.approx(np.log(expected + 1e-3), abs=1e-3)
    assert inputs[1, 0].item() == pytest.approx(np.log(1e-3))


def test_unknown_users_and_items_are_row_0_of_the_ranker() -> None:
    model = ranker()
    vector, items, rating, row, dense = pairs(1)
    items[0, 3], rating[0, 3] = 2**31 - 1, 5
    with torch.inference_mode():
        scores = [
            model(vector, items, rating, row, torch.tensor([[userid, itemid, -1, -1, -1]]), dense)[2]
            for userid, itemid in ((0, 0), (10, 8), (2**31 - 1, 2**31 - 1), (-1, -5))
        ]
    for score in scores[1:]:
        torch.testing.assert_close(score, scores[0])


def test_tastes_of_blocks_are_those_of_histories(events: Ratings) -> None:
    ratings, events = events, sequences(events, np.arange(len(events)))
    user, schema = events.user[events.user_of_event()], ratings.schema
    attributes = attributes_of(schema, ratings.catalogue, ratings.users.ids)
    ids = pair_ids(user, attributes[user - 1], events.item)
    rng, inputs = np.random.default_rng(0), p_like.width(schema)
    known = p_like_training.Pairs(events, ids, rng.random((len(ids), inputs)).astype(np.float32))
    sizes = ratings.users.size, ratings.items.size
    model = PLike(schema, *sizes, torch.zeros(inputs), torch.ones(inputs)).eval()
    places = np.sort(rng.choice(len(ids), 200, replace=False))
    fast = p_like_training.logits(model, known, places, HISTORY)
    user = np.searchsorted(events.start, places, "right") - 1
    items, rating = np.zeros((2, 200, HISTORY), dtype=np.int64)
    for row, place in enumerate(places):
        of = np.arange(max(events.start[user[row]], place - HISTORY), place)
        items[row, : len(of)], rating[row, : len(of)] = events.item[of], events.code[of]
    with torch.inference_mode():
        taste = model.taste(torch.from_numpy(items), torch.from_numpy(rating))
        slow = model(taste, torch.from_numpy(ids[places]), torch.from_numpy(known.inputs[places]))
    np.testing.assert_allclose(fast, slow.numpy(), atol=1e-4)


@pytest.mark.parametrize("schema", [movielens.SCHEMA, goods.SCHEMA], ids=["films", "shop"])
def test_p_like_is_learned(schema: Schema) -> None:
    rng, n = np.random.default_rng(0), 4000
    inputs = rng.normal(size=(n, p_like.width(schema))).astype(np.float32)
    liked = inputs[:, 3] > 0
    attributes = np.full((n, len(schema.user_attributes)), -1)
    ids = np.column_stack([rng.integers(1, 10, (n, 2)) % 8, attributes])
    positive, other = schema.codes.positive.index(True), schema.codes.positive.index(False, 1)
    events = events_of(ids[:, 1], np.where(liked, positive, other), 100, schema.codes)
    known, places = p_like_training.Pairs(events, ids, inputs), np.arange(n)
    schedule = p_like_training.Schedule(10, epochs=3, batch=128, rate=5e-3)
    task = p_like_training.Task(schema, 10, 8, known, places, schedule, seed=0)
    model = task.trained(task(lambda what: None))
    logit = p_like_training.logits(model, known, places, 10)
    assert ((logit > 0) == liked).mean() > 0.95


def test_worth_begins_spread_over_values_and_as_signed_weights() -> None:
    np.testing.assert_allclose(p_like.worth(SCHEMA.codes), [0.0, -2.0, -1.5, -0.6, 0.4, 1.2], rtol=1e-6)
    np.testing.assert_allclose(p_like.worth(goods.SCHEMA.codes), [0.0, 0.1, 0.5, 1.0], rtol=1e-6)


def test_the_ranker_of_a_shop_is_exported_with_the_same_names_and_types(tmp_path: Path) -> None:
    export.export_ranker(goods.SCHEMA, ranker(goods.SCHEMA), tmp_path, HISTORY)
    graph = onnx.load(tmp_path / "ml_rec" / "model.onnx").graph
    types = {tensor.name: tensor.type.tensor_type.elem_type for tensor in (*graph.input, *graph.output)}
    assert tuple(types) == (*RANKER_INPUTS, "next", "like", "score")
    whole = {name for name, type_ in types.items() if type_ == onnx.TensorProto.INT64}
    assert whole == {"items", "rating", "row", "ids"}
    assert {types[name] for name in types.keys() - whole} == {onnx.TensorProto.FLOAT}
    with np.load(tmp_path / "ml_rec" / "probe.npz") as probe:
        assert probe["ids"].shape[1] == len(goods.SCHEMA.ids) == 3
        assert probe["rating"].max() == goods.PURCHASE


def test_tasks_side_by_side_tell_and_return() -> None:
    told: list[tuple[int, object]] = []
    workers = parallel.Workers(2)
    results = workers.run([partial(square, n) for n in (2, 3)], lambda number, what: told.append((number, what)))
    assert results == [4, 9]
    assert workers.peak_mb > 0
    assert sorted(told) == [(0, "at 2"), (1, "at 3")]


def square(n: int, told: parallel.Told) -> int:
    told(f"at {n}")
    return n * n


def test_an_exported_model_that_answers_otherwise_is_refused(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Mul", ["x", "x"], ["y"])
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2]) for name in "xy"]
    opset = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "square", value[:1], value[1:]), opset_imports=opset, ir_version=10
    )
    path = tmp_path / "square" / "model.onnx"
    path.parent.mkdir()
    onnx.save(model, path)
    given = {"x": np.array([2.0, 3.0], dtype=np.float32)}
    assert export.check_parity(path, given, [torch.tensor([4.0, 9.0])]) == 0.0
    for wrong in (9.001, float("nan")):
        with pytest.raises(ExportError, match="square: y differs"):
            export.check_parity(path, given, [torch.tensor([4.0, wrong])])
