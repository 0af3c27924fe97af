"""Vectors are kept for as long as the encoder would be given the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from api import user_vectors
from api.user_vectors import UserVectors
from features.schema import Floats
from scoring import Users, UserState
from scoring.run_ids import RunIds
from tests.movielens import SCHEMA, user

IDS = RunIds.of(range(1, 6), range(1, 40))


class Encoder:
    """Gives a vector that nobody had before, or none."""

    def __init__(self) -> None:
        self.asked, self.away = 0, False

    def __call__(self, users: Users) -> Floats | None:
        self.asked += 1
        return None if self.away else np.full((1, 3), self.asked, dtype=np.float32)


def of(recent: Sequence[tuple[int, int, int]], userid: int = 1) -> Users:
    return Users.of(SCHEMA, IDS, [UserState(user(userid), recent)], 10)


def test_only_what_the_encoder_is_given_counts() -> None:
    kept, encoder = UserVectors(), Encoder()

    def asked(run: str, users: Users) -> int:
        before = encoder.asked
        vector = kept.of(run, users, encoder)
        assert vector is not None and np.array_equal(vector, kept.of(run, users, encoder))
        return encoder.asked - before

    events = [(100, 7, 5), (200, 9, 2)]
    assert asked("first", of(events)) == 1
    # Another time, another rating that is positive too, or another user, are the same to the encoder.
    assert asked("first", of([(150, 7, 4), (200, 9, 2)], userid=2)) == 0
    assert asked("first", of([*events, (300, 11, 1)])) == 1
    assert asked("first", of([(100, 7, 5), (200, 9, 5)])) == 1
    assert asked("second", of(events)) == 1


def test_the_least_used_vector_goes_first_and_none_is_kept_of_an_encoder_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(user_vectors, "MOST", 2)
    kept, encoder = UserVectors(), Encoder()
    users = [of([(100, item, 5)]) for item in (1, 2, 3)]
    encoder.away = True
    assert kept.of("run", users[0], encoder) is None
    encoder.away = False
    for each in (users[0], users[1], users[0], users[2]):
        assert kept.of("run", each, encoder) is not None
    assert encoder.asked == 4
    kept.of("run", users[0], encoder)
    assert encoder.asked == 4
    kept.of("run", users[1], encoder)
    assert encoder.asked == 5
