"""The generated data set of `tests/conftest.py`, and MovieLens-1M, as training reads them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from features import RECENT, Recent, User
from features.schema import Ints
from offline.data import readers
from offline.data.readers import Ratings
from offline.data.split import Split, split
from scoring import Users, UserState
from settings import Settings, load


def encoder_input(*recent: Sequence[Recent]) -> tuple[Ints, Ints]:
    """The encoder's inputs `items` and `liked` for users with these events."""
    users = Users.of([UserState(User(0), events) for events in recent], RECENT)
    return users.items, users.liked


@pytest.fixture(scope="session")
def ratings(generated: Settings) -> Ratings:
    return readers.load(generated)


@pytest.fixture(scope="session")
def parts(generated: Settings, ratings: Ratings) -> Split:
    return split(ratings, generated.data)


@pytest.fixture(scope="session")
def ml1m() -> Ratings:
    """The MovieLens-1M ratings; skips where they are not found."""
    settings = load()
    if not (settings.data_folder / readers.RATINGS).is_file():
        pytest.skip("needs ML1M_DIR")
    return readers.load(settings)
