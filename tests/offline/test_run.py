from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from drift import Reference, ReferenceError
from drift.classification_metrics import auc, logloss
from drift.series import Series
from drift.thresholds import PROBABILITIES
from features import RECENT
from offline import ranking_metrics, runs
from offline.data.readers import Ratings, data_hash, events_of_items
from offline.data.split import split
from offline.errors import DataError, RunError
from offline.evaluate.evaluation import RunModels, evaluate
from offline.train.pipeline import train
from scoring import Pairs, RankerInputs, Users, UserState
from settings import Settings, load
from stores.archive import durable
from tests.movielens import SCHEMA, user

LEAST = """
name = "Least"

[files.events]
path = "events.csv"
format = "csv"

[[events]]
file = "events"
user = "who"
item = "what"
time = "at"
event = "purchase"

[feedback.purchase]
positive = "always"

[items]
ids = "string"

[users]
ids = "integer"
"""
"""A data set of nothing but events."""


def test_a_run_folder_is_complete(generated: Settings, ratings: Ratings, run: Path) -> None:
    manifest = runs.check(run)
    assert run == generated.runs / manifest.run == runs.folder(generated)
    assert manifest.run in runs.names(generated)
    assert manifest.data_hash == data_hash(ratings)
    assert manifest.input_schema.ids == list(SCHEMA.ids)
    assert manifest.input_schema.dense == list(SCHEMA.dense_columns)
    assert (manifest.input_schema.dim, manifest.input_schema.history) == (32, 100)
    assert manifest.train == generated.train.model_dump()
    assert {"features", "encoder", "ranker", "export"} <= manifest.seconds.keys()
    assert {"encoder_epoch_2", "ranker_test", "pipeline_validation"} <= manifest.metrics.keys()
    assert manifest.peak_memory_mb > 0
    assert runs.schema(run) == ratings.schema
    assert runs.ids(run) == ratings.ids
    wanted = {"items.npz", "metadata.npz", "reference.json", "schema.json", "ids.json"}
    wanted |= {f"{model}/{file}" for model in ("user_encoder", "ml_rec") for file in ("model.onnx", "config.pbtxt")}
    assert wanted <= manifest.files.keys()
    on_disk = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert on_disk == manifest.files.keys() | {"manifest.json"}
    assert not list(generated.runs.glob(".train-*"))


def test_a_run_keeps_the_regression_that_its_items_without_events_have_their_vectors_from(
    ratings: Ratings, run: Path, tmp_path: Path
) -> None:
    itemids, vectors = runs.item_vectors(run)
    items = [ratings.catalogue.items[itemid] for itemid in itemids if isinstance(itemid, int)]
    n = events_of_items(ratings, split(ratings, load().data).offline)
    predicted = runs.regression(run).vectors(ratings.schema, items)
    assert predicted.shape == vectors.shape
    np.testing.assert_allclose(vectors[n == 0], predicted[n == 0], atol=1e-4)
    assert np.abs(vectors - predicted)[n > 0].max() > 1e-3
    earlier = shutil.copytree(run, tmp_path / run.name)
    (earlier / runs.METADATA).unlink()
    mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    np.testing.assert_array_equal(runs.regression(earlier).vectors(ratings.schema, items[:1])[0], mean)
    (earlier / runs.METADATA).write_bytes(b"junk")
    with pytest.raises(RunError, match=r"metadata\.npz is malformed; train again"):
        runs.regression(earlier)


def test_a_run_of_a_shop_is_complete_and_has_learned(shop: Settings, shop_events: Ratings, shop_run: Path) -> None:
    manifest, schema = runs.check(shop_run), runs.schema(shop_run)
    assert schema == shop_events.schema
    assert manifest.input_schema.ids == ["userid", "itemid", "segment"]
    assert manifest.input_schema.dense == list(schema.dense_columns)
    itemids, vectors = runs.item_vectors(shop_run)
    assert itemids == shop_events.items.ids
    assert len(vectors) == len(itemids) == shop_events.items.size - 1
    report = evaluate(shop, shop_run.name)
    assert report["recall"]["live"]["ndcg@10"] > report["popularity"]["live"]["ndcg@10"]


def test_the_triton_configuration_names_the_tensors_of_the_model(run: Path) -> None:
    types = {onnx.TensorProto.INT64: "TYPE_INT64", onnx.TensorProto.FLOAT: "TYPE_FP32"}
    for name in ("user_encoder", "ml_rec"):
        graph = onnx.load(run / name / "model.onnx").graph
        config = (run / name / "config.pbtxt").read_text()
        assert f'name: "{name}"' in config
        assert 'backend: "onnxruntime"' in config
        for kind, tensors in (("input", graph.input), ("output", graph.output)):
            assert config.count(f"{kind} [") == len(tensors)
            for tensor in tensors:
                kind_of = types[tensor.type.tensor_type.elem_type]
                shape = [dim.dim_value or -1 for dim in tensor.type.tensor_type.shape.dim]
                dims = ", ".join(map(str, shape))
                assert f'{kind} [ {{ name: "{tensor.name}" data_type: {kind_of} dims: [ {dims} ] }} ]' in config


def test_one_and_many_rows_give_the_same_answers(run: Path, ratings: Ratings) -> None:
    models = RunModels(run, threads=1)
    itemids, vectors = runs.item_vectors(run)
    assert list(itemids) == sorted(ratings.catalogue.items)
    schema, ids = ratings.schema, ratings.ids
    states = [UserState(user(7), [(k, itemid, 5) for k, itemid in enumerate(range(1, n + 1))]) for n in (0, 1, 7, 100)]
    together = models.encode(Users.of(schema, ids, states, RECENT))
    for row, state in enumerate(states):
        alone = models.encode(Users.of(schema, ids, [state], RECENT))
        np.testing.assert_allclose(alone[0], together[row], atol=1e-5)
    users, row = Users.of(schema, ids, states[3:], RECENT), np.zeros(len(itemids), dtype=np.int64)
    dense = np.zeros((len(itemids), len(schema.dense_columns)), dtype=np.float32)
    pairs = users.pairs_of_rows(row, ids.items.numbers(itemids), dense)
    ranking = models.rank(RankerInputs.of(together[3:], users, pairs))
    np.testing.assert_allclose(ranking.next, vectors @ together[3], atol=1e-4)
    assert ((ranking.like > 0) & (ranking.like < 1)).all() and np.isfinite(ranking.score).all()
    first = Pairs(pairs.row[:1], pairs.ids[:1], pairs.dense[:1])
    alone = models.rank(RankerInputs.of(together[3:], users, first))
    np.testing.assert_allclose(alone.score, ranking.score[:1], atol=1e-5)


def test_the_models_beat_popularity(generated: Settings, run: Path) -> None:
    report = evaluate(generated, run.name, sample=400)
    assert report["events"] == 400
    assert report["recall"]["live"]["hr@10"] > report["popularity"]["live"]["hr@10"]


def test_a_run_says_what_is_wrong_with_it(generated: Settings, run: Path, tmp_path: Path) -> None:
    elsewhere = load(state_dir=tmp_path, data={"folder": str(generated.data_folder)})
    with pytest.raises(RunError, match="run `reelstream train`"):
        runs.folder(elsewhere)
    with pytest.raises(RunError, match="there is no run x"):
        runs.folder(generated, "x")
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (copy / "items.npz").write_bytes(b"")
    with pytest.raises(RunError, match=r"items\.npz differs"):
        runs.check(copy)
    (copy / "items.npz").unlink()
    with pytest.raises(RunError, match=r"has no items\.npz"):
        runs.check(copy)
    told = json.loads((run / runs.MANIFEST).read_text())
    del told["format"]
    (copy / runs.MANIFEST).write_text(json.dumps(told))
    with pytest.raises(RunError, match="has format 1, but this version of reelstream reads 3; run"):
        runs.check(copy)
    (copy / "manifest.json").write_text(json.dumps({"format": runs.FORMAT, "run": "x"}))
    with pytest.raises(RunError, match=r"manifest\.json is malformed at created"):
        runs.check(copy)


def test_a_run_without_its_schema_or_its_ids_says_so(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (copy / runs.IDS).write_text("{}")
    with pytest.raises(RunError, match=r"ids\.json is missing or malformed; train again"):
        runs.ids(copy)
    (copy / runs.IDS).write_text(json.dumps({"schema_version": 99, "users": [], "items": []}))
    with pytest.raises(RunError, match=r"ids\.json is of another release"):
        runs.ids(copy)
    (copy / runs.SCHEMA).write_text(json.dumps({"schema_version": 99}))
    with pytest.raises(RunError, match=r"schema\.json is of another release"):
        runs.manifest(copy)
    (copy / runs.SCHEMA).unlink()
    with pytest.raises(RunError, match=r"schema\.json is missing or malformed; train again"):
        runs.check(copy)


@pytest.mark.parametrize("data", ["run", "shop_run"])
def test_users_who_are_erased_leave_the_ids_of_a_run(data: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(request.getfixturevalue(data), copy)
    before = runs.ids(copy)
    first, second, *_ = before.users.ids
    assert first is not None and second is not None
    assert runs.without_users(copy, {first, "nobody"})
    after = runs.ids(copy)
    assert first not in after.users
    assert after.users.number(second) == before.users.number(second)
    assert after.items == before.items
    assert runs.check(copy).files[runs.IDS] == runs.sha256(copy / runs.IDS)
    assert not runs.without_users(copy, {first})


def test_erasing_from_a_run_may_be_killed_at_any_step(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    write, replace = durable.write, Path.replace
    left: list[int] = []

    def step() -> None:
        left[0] -= 1
        if not left[0]:
            raise Killed

    def write_then_count(path: Path, content: bytes) -> None:
        write(path, content)
        step()

    def count_then_replace(path: Path, target: Path) -> Path:
        if path.name == runs.COMING_IDS:
            step()
        return replace(path, target)

    monkeypatch.setattr(durable, "write", write_then_count)
    monkeypatch.setattr(Path, "replace", count_then_replace)
    [first, *_] = runs.ids(run).users.ids
    assert first is not None
    for steps in (1, 2, 3):
        copy = tmp_path / str(steps)
        shutil.copytree(run, copy)
        left[:] = [steps]
        with pytest.raises(Killed):
            runs.without_users(copy, {first})
        left[:] = [99]
        # The manifest names the ids of before or after, and a process that reads finds those.
        assert runs.check(copy).run == run.name
        assert (first in runs.ids(copy).users) == (steps == 1)
        runs.without_users(copy, {first})
        assert first not in runs.ids(copy).users
        runs.check(copy)


def least(folder: Path, users: int, events: int) -> Settings:
    """A data set of nothing but events."""
    (folder / "data").mkdir(parents=True)
    (folder / "least.toml").write_text(LEAST)
    lines = [
        f"{user},i{(3 * user + place) % 7},{1000 * place}\n" for user in range(1, users + 1) for place in range(events)
    ]
    (folder / "data" / "events.csv").write_text("".join(["who,what,at\n", *lines]))
    return load(
        state_dir=folder / "state",
        data={"folder": str(folder / "data"), "dataset": str(folder / "least.toml"), "online_events": 1},
        train={
            **{"dim": 8, "layers": 1, "heads": 1, "encoders": 1, "encoder_epochs": 2, "ranker_models": 1},
            **{"ranker_epochs": 1, "threads": 1},
        },
    )


def test_a_data_set_of_a_few_events_and_nothing_else_is_trained_on(tmp_path: Path) -> None:
    run = train(least(tmp_path, users=4, events=6))
    manifest = runs.check(run)
    assert manifest.input_schema.ids == ["userid", "itemid"]
    assert runs.ids(run).items.ids == tuple(f"i{number}" for number in range(7))
    assert runs.ids(run).users.ids == (1, 2, 3, 4)
    # All events are positive, so that there is no AUC.
    assert manifest.metrics["ranker_test"].keys() == {"logloss"}


def test_too_few_events_are_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="of 6 events, 2 are left to learn from, 2 of them positive, and 0 to test on"):
        train(least(tmp_path, users=2, events=3))
    assert not list((tmp_path / "state").glob("runs/*"))


def test_training_that_fails_leaves_no_folder(
    generated: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(encoder: object, folder: Path, *_: object) -> None:
        (folder / "half").touch()
        raise DataError("no")

    monkeypatch.setattr("offline.train.pipeline.export_encoder", fail)
    short = generated.train.model_copy(update={"encoder_epochs": 1, "ranker_epochs": 1})
    with pytest.raises(DataError, match="no"):
        train(generated.model_copy(update={"state_dir": tmp_path, "train": short}))
    assert list((tmp_path / "runs").iterdir()) == []


def test_the_reference_reads_back_and_counts_every_arrival(run: Path) -> None:
    stored = json.loads((run / "reference.json").read_text())
    series = Series(SCHEMA)
    reference = Reference.from_json(series, stored)
    assert reference.as_json() == stored
    assert tuple(reference.series) == series.names
    totals = {sum(histogram.counts) for histogram in reference.features.values()}
    assert totals == {sum(reference.labels["label"].counts)}
    assert {"auc", "logloss", "ece", "label_rate", "hit10", "hit50"} == reference.quality.keys()
    for histogram in reference.series.values():
        assert histogram.bins == len(histogram.edges) + 4 <= 14
        assert min(histogram.counts[:-3]) > 0
        assert histogram.counts[-3:] == [0, 0, 0]
        assert 0 < histogram.missing_blocks + 1 <= histogram.blocks
        assert len(histogram.tail) == len(PROBABILITIES)
        assert histogram.tail[0] > 0 and histogram.tail == sorted(histogram.tail)


def test_a_reference_without_thresholds_is_refused_in_one_sentence() -> None:
    with pytest.raises(ReferenceError, match="train again"):
        Reference.from_json(Series(SCHEMA), {"features": {}, "scores": {}})


def test_list_metrics_are_those_of_the_places() -> None:
    found = ranking_metrics.of_ranks(np.array([0, 9, 10, 1_000_000]))
    assert found["hr@10"] == 0.5
    assert found["ndcg@10"] == pytest.approx((1 + 1 / np.log2(11)) / 4)
    assert found["hr@50"] == 0.75
    assert found["mrr"] == pytest.approx((1 + 0.1 + 1 / 11) / 4, abs=1e-6)
    assert set(ranking_metrics.of_ranks(np.empty(0, dtype=np.int64)).values()) == {0.0}


def test_auc_and_logloss_are_right_on_small_cases() -> None:
    label = np.array([0.0, 0.0, 1.0, 1.0])
    assert auc(label, np.array([0.1, 0.4, 0.35, 0.8])) == 0.75
    assert np.isnan(auc(np.ones(3), np.ones(3)))
    assert logloss(label, np.full(4, 0.5)) == pytest.approx(np.log(2))
