"""The lists of the running system are those of the batch evaluation."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.system.conftest import System

SAMPLE = 40


def evaluate(system: System) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli", "evaluate", "--api", "--sample", str(SAMPLE), "--json"]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


def test_the_api_and_the_batch_evaluation_give_the_same_lists(system: System) -> None:
    system.start_over()
    done = evaluate(system)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["api"]
    assert found["events"] == SAMPLE
    assert found["positions"] > SAMPLE * 30
    assert found["equal"] + found["explained_by_ties"] == found["positions"]
    assert found["share_equal"] >= 0.99
    assert system.verify().differences == 0
    again = evaluate(system)
    assert again.returncode == 1
    assert "publish --reset" in again.stderr.splitlines()[-1]
