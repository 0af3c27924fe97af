"""Broken promises of trimming under load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.faults.trimming import _used_mib, broken_promises

WELL: dict[str, Any] = {"differences": [0, 0], "failed": 0, "errors": [], "kafka_mib_thirds": [10.0, 20.0, 21.0]}


def test_a_run_in_which_the_disk_stayed_flat_breaks_nothing() -> None:
    assert broken_promises(WELL) == []


def test_a_disk_that_grows_a_difference_and_a_failed_request_are_told() -> None:
    assert broken_promises(WELL | {"kafka_mib_thirds": [10.0, 20.0, 30.0]}) == [
        "Kafka's disk use: 20.0 MiB, then 30.0 MiB"
    ]
    assert broken_promises(WELL | {"differences": [0, 1], "failed": 2, "errors": ["x"]}) == [
        "differences",
        "errors",
        "failed",
    ]


def test_disk_use_is_that_of_all_files_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"x" * (1 << 20))
    assert 1 <= _used_mib(tmp_path) < 1.1
