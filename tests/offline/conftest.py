"""A generated data set and one short training run, each made once a test run."""

from __future__ import annotations

from pathlib import Path

import pytest

from offline.data import generate, readers
from offline.data.readers import Ratings
from offline.data.split import Split, split
from settings import Settings, load

USERS, ITEMS, EVENTS, SEED = 150, 120, 6000, 3


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with a generated data set, small models and a state folder of their own."""
    folder = tmp_path_factory.mktemp("offline")
    generate.make(folder / "data", USERS, ITEMS, EVENTS, SEED)
    return load(
        state_dir=folder / "state",
        data={"folder": str(folder / "data")},
        train={
            "dim": 16,
            "layers": 1,
            "heads": 2,
            "encoder_epochs": 8,
            "encoder_batch": 4,
            "ranker_epochs": 2,
            "threads": 1,
        },
    )


@pytest.fixture(scope="session")
def ratings(generated: Settings) -> Ratings:
    return readers.load(generated)


@pytest.fixture(scope="session")
def parts(generated: Settings, ratings: Ratings) -> Split:
    return split(ratings, generated.data)


@pytest.fixture(scope="session")
def run(generated: Settings) -> Path:
    """The folder of a short training run."""
    from offline.train.pipeline import train

    return train(generated)


@pytest.fixture(scope="session")
def ml1m() -> Ratings:
    """The MovieLens-1M ratings; skips where they are not found."""
    settings = load()
    if not (settings.data_folder / readers.RATINGS).is_file():
        pytest.skip("needs ML1M_DIR")
    return readers.load(settings)
