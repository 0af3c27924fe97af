"""The erasure that the archiver starts once a day."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from stream.archive import daily
from stream.archive.daily import Daily
from tests.polling import until

YESTERDAY = 1.0


def program(folder: Path, code: str) -> tuple[str, ...]:
    """A program that notes that it was started, and goes on with the code."""
    return sys.executable, "-c", f"open({str(folder / 'starts')!r}, 'a').write('x')\n{code}"


def starts(folder: Path) -> int:
    found = folder / "starts"
    return len(found.read_text()) if found.exists() else 0


def test_the_first_erasure_starts_a_day_after_the_archiver(tmp_path: Path) -> None:
    mark = tmp_path / "state" / "erased"
    made = Daily(mark, program(tmp_path, "import time; time.sleep(60)"))
    made.look()
    assert mark.exists() and starts(tmp_path) == 0
    os.utime(mark, (YESTERDAY, YESTERDAY))
    made.look()
    try:
        until(lambda: starts(tmp_path) == 1, 60)
        made.look()
    finally:
        made.stop()
    assert starts(tmp_path) == 1, "one at a time"


def test_an_erasure_that_is_done_starts_again_a_day_later_and_a_restart_changes_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "erased"
    mark.touch()
    os.utime(mark, (YESTERDAY, YESTERDAY))
    command = program(tmp_path, f"import os; os.utime({str(mark)!r})")
    made = Daily(mark, command)
    made.look()
    until(lambda: mark.stat().st_mtime > YESTERDAY, 60)
    made.stop()
    again = Daily(mark, command)
    again.look()
    again.stop()
    assert starts(tmp_path) == 1


@pytest.mark.parametrize(("again_s", "started"), [(3600.0, 1), (0.0, 2)])
def test_an_erasure_that_has_failed_is_reported_and_tried_again_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, again_s: float, started: int
) -> None:
    monkeypatch.setattr(daily, "AGAIN_S", again_s)
    mark = tmp_path / "erased"
    mark.touch()
    os.utime(mark, (YESTERDAY, YESTERDAY))
    made = Daily(mark, program(tmp_path, "raise SystemExit(1)"))

    def reported() -> bool:
        made.look()
        return caplog.text.count("the daily erasure has failed") == started

    try:
        until(reported, 60)
        made.look()
    finally:
        made.stop()
    if again_s:
        assert starts(tmp_path) == 1
