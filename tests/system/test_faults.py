"""A short part of the fault suite (`make faults` runs all of it, with 20,000 events each)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.faults import FAULTS
from tests.faults.runner import run
from tests.system.conftest import System

SHORT = ("worker killed", "redis killed", "kafka killed")


@pytest.fixture(scope="module", autouse=True)
def anew(system: System) -> Iterator[None]:
    yield
    system.start_over()


@pytest.mark.parametrize("name", SHORT)
def test_nothing_is_lost_counted_twice_or_different_and_no_request_fails(system: System, name: str) -> None:
    (fault,) = (each for each in FAULTS if each.name == name)
    outcome = run(system, fault, seed=1, rate=100.0)
    assert outcome.sent == len(system.events)
    assert (outcome.lost, outcome.twice, outcome.differences) == (0, 0, 0), outcome.line()
    assert outcome.failed == 0, outcome.line()
    assert outcome.answered > 20
