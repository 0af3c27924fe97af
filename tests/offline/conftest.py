"""The generated data set of `tests/conftest.py`, and MovieLens-1M, as training reads them."""

from __future__ import annotations

import pytest

from offline.data import readers
from offline.data.readers import Ratings
from offline.data.split import Split, split
from settings import Settings, load


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
