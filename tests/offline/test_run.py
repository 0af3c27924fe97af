from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from drift import Reference, ReferenceError
from drift.classification_metrics import auc, logloss
from drift.series import SERIES
from drift.thresholds import PROBABILITIES
from features import DENSE_COLUMNS, IDS, RECENT, User
from offline import ranking_metrics, runs
from offline.data.readers import Ratings, data_hash
from offline.errors import DataError, RunError
from offline.evaluate.evaluation import RunModels, evaluate
from offline.train.pipeline import train
from scoring import Pairs, RankerInputs, Users, UserState
from settings import Settings, load


def test_a_run_folder_is_complete(generated: Settings, ratings: Ratings, run: Path) -> None:
    manifest = runs.check(run)
    assert run == generated.runs / manifest.run == runs.folder(generated)
    assert manifest.run in runs.names(generated)
    assert manifest.data_hash == data_hash(ratings)
    assert manifest.input_schema.ids == list(IDS)
    assert manifest.input_schema.dense == list(DENSE_COLUMNS)
    assert (manifest.input_schema.dim, manifest.input_schema.history) == (32, 100)
    assert manifest.train == generated.train.model_dump()
    assert {"features", "encoder", "ranker", "export"} <= manifest.seconds.keys()
    assert {"encoder_epoch_2", "ranker_test", "pipeline_validation"} <= manifest.metrics.keys()
    assert manifest.peak_memory_mb > 0
    wanted = {"items.npz", "reference.json"}
    wanted |= {f"{model}/{file}" for model in ("user_encoder", "ml_rec") for file in ("model.onnx", "config.pbtxt")}
    assert wanted <= manifest.files.keys()
    on_disk = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert on_disk == manifest.files.keys() | {"manifest.json"}
    assert not list(generated.runs.glob(".train-*"))


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
    assert itemids.tolist() == sorted(ratings.catalogue.items)
    states = [UserState(User(7), [(k, itemid, 5) for k, itemid in enumerate(range(1, n + 1))]) for n in (0, 1, 7, 100)]
    together = models.encode(Users.of(states, RECENT))
    for row, state in enumerate(states):
        np.testing.assert_allclose(models.encode(Users.of([state], RECENT))[0], together[row], atol=1e-5)
    users, row = Users.of(states[3:], RECENT), np.zeros(len(itemids), dtype=np.int64)
    pairs = users.pairs_of_rows(row, itemids, np.zeros((len(itemids), len(DENSE_COLUMNS)), dtype=np.float32))
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
    with pytest.raises(RunError, match="has format 1, but this version of reelstream reads 2; run"):
        runs.check(copy)
    (copy / "manifest.json").write_text(json.dumps({"format": runs.FORMAT, "run": "x"}))
    with pytest.raises(RunError, match=r"manifest\.json is malformed at created"):
        runs.check(copy)


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
    reference = Reference.from_json(stored)
    assert reference.as_json() == stored
    assert tuple(reference.series) == SERIES
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
        Reference.from_json({"features": {}, "scores": {}})


def test_list_metrics_are_those_of_the_places() -> None:
    found = ranking_metrics.of_ranks(np.array([0, 9, 10, 1_000_000]))
    assert found["hr@10"] == 0.5
    assert found["ndcg@10"] == pytest.approx((1 + 1 / np.log2(11)) / 4)
    assert found["hr@50"] == 0.75
    assert found["mrr"] == pytest.approx((1 + 0.1 + 1 / 11) / 4, abs=1e-6)


def test_auc_and_logloss_are_right_on_small_cases() -> None:
    label = np.array([0.0, 0.0, 1.0, 1.0])
    assert auc(label, np.array([0.1, 0.4, 0.35, 0.8])) == 0.75
    assert np.isnan(auc(np.ones(3), np.ones(3)))
    assert logloss(label, np.full(4, 0.5)) == pytest.approx(np.log(2))
