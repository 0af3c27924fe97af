"""The page "Add a feature", followed in a copy of the source tree: one edit, and every part of the system has it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from servers import paths
from tests.system.page import code_blocks

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add-a-feature.md").read_text()
(FORMULA,), (NEW_COUNT,) = code_blocks(PAGE, "python"), code_blocks(PAGE, "diff")
NAME = re.findall(r"^def (\w+)", FORMULA, flags=re.MULTILINE)[0]
DESCRIPTION = re.findall(r'"""(.*)"""', FORMULA)[0]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The findings in the system of the copy (see `tests.system.page_followed`)."""
    folder = tmp_path_factory.mktemp("page")
    copy = folder / "source"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, copy, ignore=ignored)
    with (copy / "features" / "declarations.py").open("a") as declarations:
        declarations.write(f"\n\n{FORMULA}")
    diff = folder / "new-count.diff"
    diff.write_text(NEW_COUNT)
    environment = {**os.environ, "PYTHONPATH": str(copy), "REELSTREAM_CACHE": str(paths.cache())}
    done = subprocess.run(
        [sys.executable, "-m", "tests.system.page_followed", NAME, str(folder / "system"), str(diff)],
        cwd=copy,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.fixture(scope="module")
def formula(found: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = found["formula"]
    return made


def test_the_models_are_trained_on_the_feature_and_go_live_with_it(formula: dict[str, Any]) -> None:
    assert NAME in formula["trained on"]
    assert formula["live run"] == formula["trained on"]
    assert sum(formula["reference"]) > 0


def test_the_stream_logs_the_feature_for_every_event(formula: dict[str, Any]) -> None:
    logged = np.array(formula["logged"])
    events = sum(events for events, _ in formula["drift"])
    assert len(logged) >= events > 0
    assert (logged > 0).all() and (logged <= 1).all()
    assert len(set(formula["logged"])) > 10


def test_the_ranker_gets_the_feature_of_the_counts_in_feast(formula: dict[str, Any]) -> None:
    row = formula["row"]
    assert formula["explained"] == pytest.approx([row["n30"] / max(row["n"], 1)] * 3)
    of_field = {name: features.split(",") for name, features in formula["feast"].items()}
    assert [name for name, features in of_field.items() if NAME in features] == ["n", "n30"]


def test_drift_watches_the_feature_and_describes_it(formula: dict[str, Any]) -> None:
    assert all(events == counted > 0 for events, counted in formula["drift"])
    assert formula["described"] == DESCRIPTION


def test_verify_compares_the_feature(formula: dict[str, Any]) -> None:
    assert formula["verified"]["differences"] == 0
    assert formula["verified"]["compared"]["inputs"] > 0
    wrong = formula["verified against another formula"]
    assert len(wrong) == formula["verified"]["compared"]["inputs"]
    assert all(NAME in difference for difference in wrong)


def test_a_state_from_before_a_new_count_is_refused_in_one_line_that_says_what_to_do(found: dict[str, Any]) -> None:
    older = found["older state"]
    for part in ("verify", "publish", "adopt"):
        status, _, line = older[part]
        assert status == 1, part
        assert "other counts; run `reelstream rebuild`" in line, part
    assert "other counts; run `reelstream rebuild`" in older["worker"]
    assert older["api"].startswith("the stored state has the version ")
    (finding,) = (each for each in older["doctor"] if each["promise"] == "state and run are of this release")
    assert not finding["kept"] and "run `reelstream rebuild`" in finding["words"]


def test_lists_are_made_of_the_older_state_until_it_is_rebuilt(found: dict[str, Any]) -> None:
    older, rebuilt = (found[name]["lists"] for name in ("older state", "rebuilt state"))
    assert older["item_list"] and older["fallback"] is None and older["degraded"] == ["stream"]
    assert rebuilt["item_list"] and rebuilt["degraded"] == []


def test_a_rebuilt_state_has_the_new_count_and_verify_names_what_the_oracle_lacks(found: dict[str, Any]) -> None:
    rebuilt = found["rebuilt state"]
    assert rebuilt["rebuild"][0] == 0, rebuilt["rebuild"]
    row = rebuilt["row"]
    assert rebuilt["api"] == str(row["n"]) and found["older state"]["api"].endswith(f" {row['n']}")
    assert row["n5"] == 5
    assert 0 <= row["likes5"] <= min(5, row["likes10"])
    status, output, _ = rebuilt["verify"]
    assert status == 1
    assert json.loads(output)["examples"].keys() == {f"sample: count {name} of the user" for name in ("n5", "likes5")}
