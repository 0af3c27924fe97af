"""Progress where standard error is not a terminal, as in CI or behind a pipe."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from cli import console


def drive(name: str) -> None:
    """Use a kind of progress as the commands do, to its end."""
    kinds: dict[str, tuple[AbstractContextManager[Callable[..., Any]], list[tuple[Any, ...]]]] = {
        "bar": (console.bar("publishing"), [("copying", 0.25), ("switching", 0.5), ("done", 1.0)]),
        "stages": (
            console.stage_bars("reading"),
            [("encoder", 0, 3, ""), ("encoder", 3, 3, "loss 2"), ("done", 3, 3, "")],
        ),
        "components": (console.part_lines(), [("redis", "starting"), ("redis", "ready in 1 s"), ("done", "ready")]),
        "count": (console.count_bar("replay", 1000), [("replay", 500), ("done", 1000)]),
        "download": (console.download_bar(), [(1_000_000, 3_000_000), (3_000_000, 3_000_000)]),
    }
    context, steps = kinds[name]
    with context as tell:
        for step in steps:
            tell(*step)


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("bar", "publishing", "done: 100%"),
        ("stages", "reading", "done: 3 of 3"),
        ("components", "redis          starting", "done           ready"),
        ("count", "replay", "done: 1,000 of 1,000"),
        ("download", "downloading MovieLens-1M: 1.0 of 3.0 MB", "downloading MovieLens-1M: 3.0 of 3.0 MB"),
    ],
)
def test_without_a_terminal_progress_is_plain_lines(
    capsys: pytest.CaptureFixture[str], name: str, first: str, last: str
) -> None:
    drive(name)
    told = capsys.readouterr().err
    assert told.replace("\n", "").isprintable()
    assert (told.splitlines()[0], told.splitlines()[-1]) == (first, last)


def test_lines_in_quick_succession_are_thinned_out(capsys: pytest.CaptureFixture[str]) -> None:
    with console.count_bar("replay", 100_000) as tell:
        for done in range(100_000):
            tell("replay", done)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "replay: 99,999 of 100,000"
    assert len(lines) < 20


def test_a_command_without_a_terminal_says_what_it_does_before_it_ends(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "cli",
        "data",
        "make",
        "--folder",
        str(tmp_path),
        "--users",
        "80",
        "--items",
        "100",
        "--events",
        "3000",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr.splitlines()[0] == "generating ratings"
    assert "\x1b" not in done.stderr
