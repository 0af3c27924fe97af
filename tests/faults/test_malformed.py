"""The malformed records of the fault suite are malformed."""

from __future__ import annotations

import random

import pytest

from features import Event, EventError
from stores import Logged, decode_event, partition_of
from tests.faults.malformed import malformed
from tests.movielens import SCHEMA


def test_no_malformed_event_can_be_understood_and_there_are_many_reasons() -> None:
    rng = random.Random(1)
    reasons = set()
    for _ in range(2000):
        event = Event(rng.randint(1, 9999), 1, rng.randint(1, 5), rng.randint(0, 10**9))
        key, value, partition = malformed(event, partition_of(event.userid, 8), 8, rng)
        with pytest.raises(EventError) as told:
            decode_event(Logged(partition, 0, key, value), SCHEMA, 8, 86_400.0)
        reasons.add(str(told.value))
    assert len(reasons) > 10
