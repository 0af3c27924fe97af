"""Users erased during a replay (`make erasing` runs it with a hundred of them)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.erasing import broken_promises, erase_in_a_replay
from tests.system.conftest import running_system

pytestmark = [pytest.mark.timeout(600), pytest.mark.servers]


def test_users_erased_in_a_replay_leave_no_difference_no_count_and_no_trace(tmp_path: Path) -> None:
    with running_system(tmp_path, users=80, items=60, events=1600) as system:
        figures = erase_in_a_replay(system, 6, rate=300.0)
    assert broken_promises(figures) == [], json.dumps(figures)
    assert figures["sweep"]["records"] > 0
