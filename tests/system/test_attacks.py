"""Hostile clients cost nobody an answer."""

from __future__ import annotations

import json
import subprocess
import sys

from bench.attacker import CONNECTIONS, KINDS
from tests.system.conftest import System


def test_every_list_is_answered_while_hostile_clients_are_at_work(system: System) -> None:
    command = [sys.executable, "-m", "cli", "bench", "attacks", "--seconds", "3", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.stdout, done.stderr
    figures = json.loads(done.stdout)
    for kind in ("quiet", *KINDS):
        assert figures[kind]["requests"] > 0
        assert (kind, figures[kind]["failed"], figures[kind]["degraded"]) == (kind, 0, 0)
    # Each of the first kind is refused, each of the second gets a list that says what it does not know of.
    assert set(figures["exclude"]["answered"]) == {"400"}
    assert set(figures["after"]["answered"]) == {"200"}
    assert figures["half-sent"]["answered"]["opened"] >= CONNECTIONS
    assert system.get("/health/live").status_code == 200
