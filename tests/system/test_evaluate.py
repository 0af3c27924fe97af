"""The lists of the running system are those of the batch evaluation."""

from __future__ import annotations

from tests.commands import figures, in_own_process, refuse
from tests.system.conftest import System

SAMPLE = 40


def test_the_api_and_the_batch_evaluation_give_the_same_lists(system: System) -> None:
    system.start_over()
    found = figures(in_own_process("evaluate", "--api", "--sample", str(SAMPLE), "--json"))["api"]
    assert found["events"] == SAMPLE
    assert found["positions"] > SAMPLE * 30
    assert found["equal"] + found["explained_by_ties"] == found["positions"]
    assert found["share_equal"] >= 0.99
    assert system.verify().differences == 0
    assert "publish --reset" in refuse("evaluate", "--api", "--sample", str(SAMPLE))
