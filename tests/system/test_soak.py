"""A soak of seconds (`make soak` runs one for an hour)."""

from __future__ import annotations

from tests.faults.soak import soak
from tests.system.conftest import System


def test_a_steady_load_changes_nothing_that_it_should_not(system: System) -> None:
    figures = soak(system, seconds=20.0, rate=100.0, requests=10.0)
    assert figures["events"] > 1000
    assert figures["differences"] == 0
    assert figures["requests"] > 100
    assert figures["failed"] == 0
    assert all(len(parts) == 3 and min(parts) > 0 for parts in figures["memory_mb"].values())
    assert {"kafka", "redis", "worker-0", "api"} <= set(figures["memory_mb"])
