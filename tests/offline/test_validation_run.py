"""A run for choosing settings, which has not seen the validation events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offline import runs
from offline.data.readers import Ints, Ratings
from offline.data.split import split
from offline.data.windows import Sequences, sequences
from offline.errors import RunError
from offline.evaluate.evaluation import Source, evaluate
from offline.train import pipeline
from settings import Settings, load


def test_a_validation_run_has_seen_the_training_events_alone(
    generated: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(
        state_dir=tmp_path,
        data={"folder": str(generated.data_folder)},
        train={**generated.train.model_dump(), "encoder_epochs": 1, "refit_epochs": 1, "ranker_epochs": 1},
    )
    learned: list[int] = []

    def sequences_of(ratings: Ratings, places: Ints) -> Sequences:
        learned.extend(places.tolist())
        return sequences(ratings, places)

    monkeypatch.setattr(pipeline, "sequences", sequences_of)
    run = pipeline.train(settings, validation=True)
    assert run.name.endswith("-validation") and runs.check(run).run == run.name
    assert (runs.names(settings), runs.names(settings, validation=True)) == ([], [run.name])
    with pytest.raises(RunError, match=r"no run in .*; run `reelstream train`$"):
        runs.folder(settings)
    with pytest.raises(RunError, match=f"there is no run {run.name} in .*; there are: none"):
        runs.folder(settings, run.name)
    source = Source.open(settings, None, validation=True)
    assert source.manifest.run == run.name
    plain = split(source.ratings, settings.data)
    targets = source.targets(None)
    assert np.array_equal(np.sort(targets), np.sort(plain.validation[source.ratings.targets(plain.validation)]))
    scored = np.load(run / runs.SCORED)["place"].tolist()
    assert len(scored) and {*learned, *scored} <= {*plain.fit.tolist()}
    assert evaluate(settings, run.name, 30, validation=True)["events"] == 30
