"""Data sets as training reads them: the generated films of `tests/conftest.py`, a shop, and MovieLens-1M."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from features import RECENT, Recent
from features.schema import Ints
from offline.data import readers
from offline.data.readers import Ratings
from offline.data.split import Split, split
from scoring import Users, UserState
from scoring.run_ids import RunIds
from settings import Settings, load
from tests.movielens import SCHEMA, user
from tests.offline.shop_data import write_shop

IDS = RunIds.of([], range(1, 4000))
"""Items whose ids are their numbers."""


def encoder_input(*recent: Sequence[Recent]) -> tuple[Ints, Ints]:
    """The encoder's inputs `items` and `liked` for users with these events."""
    users = Users.of(SCHEMA, IDS, [UserState(user(0), events) for events in recent], RECENT)
    return users.items, users.liked


@pytest.fixture(scope="session")
def ratings(generated: Settings) -> Ratings:
    return readers.load(generated)


@pytest.fixture(scope="session")
def parts(generated: Settings, ratings: Ratings) -> Split:
    return split(ratings, generated.data)


@pytest.fixture(scope="session")
def shop(generated: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with the data set of a shop."""
    folder = tmp_path_factory.mktemp("shop")
    data = {"folder": str(folder / "data"), "dataset": str(write_shop(folder / "data", seed=5))}
    return load(state_dir=folder / "state", data=data, train=generated.train.model_dump())


@pytest.fixture(scope="session")
def shop_events(shop: Settings) -> Ratings:
    return readers.load(shop)


@pytest.fixture(scope="session")
def shop_parts(shop: Settings, shop_events: Ratings) -> Split:
    return split(shop_events, shop.data)


@pytest.fixture(scope="session")
def shop_run(shop: Settings) -> Path:
    """The folder of a short training run on the shop."""
    from offline.train.pipeline import train

    return train(shop)


@pytest.fixture(params=["films", "shop"])
def events(request: pytest.FixtureRequest) -> Ratings:
    """The events of a data set, of each in turn."""
    found = request.getfixturevalue("ratings" if request.param == "films" else "shop_events")
    assert isinstance(found, Ratings)
    return found


@pytest.fixture
def events_parts(events: Ratings, generated: Settings) -> Split:
    """The split of `events`."""
    return split(events, generated.data)


@pytest.fixture(scope="session")
def ml1m() -> Ratings:
    """The MovieLens-1M ratings; skips where they are not found."""
    settings = load()
    if not (settings.data_folder / readers.RATINGS).is_file():
        pytest.skip("needs ML1M_DIR")
    return readers.load(settings)
