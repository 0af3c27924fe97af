"""Broken promises of a soak."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.faults.soak import broken_promises, complaints, thirds

WELL: dict[str, Any] = {"differences": 0, "failed": 0, "complaints": [], "memory_mb": {"api": [200.0, 250.0, 251.0]}}


def test_a_soak_in_which_nothing_happened_breaks_nothing() -> None:
    assert broken_promises(WELL) == []


def test_memory_that_grows_in_the_last_third_is_told() -> None:
    figures = WELL | {"memory_mb": {"api": [200.0, 250.0, 270.0], "redis": [10.0, 10.0, 11.0]}}
    assert broken_promises(figures) == ["memory of api: 250.0 MiB, then 270.0 MiB"]


def test_failed_requests_differences_and_complaints_are_told() -> None:
    figures = WELL | {"differences": 1, "failed": 2, "complaints": ["x"]}
    assert broken_promises(figures) == ["differences", "failed", "complaints"]


def test_thirds_are_of_time() -> None:
    assert thirds([(0.0, 1.0), (1.0, 3.0), (3.5, 5.0), (6.0, 7.0), (9.0, 9.0)]) == [2.0, 5.0, 8.0]


def test_lines_of_errors_are_found_in_all_logs(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("INFO fine\n2026 ERROR bad\n")
    (tmp_path / "b.log").write_text("Traceback (most recent call last):\nerrors 0\n")
    assert complaints(tmp_path) == ["a.log: 2026 ERROR bad", "b.log: Traceback (most recent call last):"]
