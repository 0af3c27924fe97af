"""Components that died and were started again, as the supervisor's log tells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

WITHIN = timedelta(minutes=10)
TAIL = 256 * 1024
"""Bytes of the end of the log that are read."""

EXITED = re.compile(r"(?P<when>[-\d]+ [:\d]+),\d+ \w+ exited: (?P<name>\S+) \((?P<how>[^;)]*); not expected\)")


@dataclass(frozen=True)
class Crashes:
    """The recent crashes of a component: their number, and how the last one ended."""

    times: int
    last: str

    def in_words(self) -> str:
        """Describe the crashes in words."""
        times = "once" if self.times == 1 else f"{self.times} times"
        return f"crashed {times} in the last {WITHIN.seconds // 60} minutes, most recently: {self.last}"


def recent(log: Path) -> dict[str, Crashes]:
    """The crashes of the last minutes by component."""
    crashes: dict[str, Crashes] = {}
    since = datetime.now() - WITHIN
    for match in EXITED.finditer(last_of(log)):
        if datetime.fromisoformat(match["when"]) >= since:
            before = crashes.get(match["name"])
            crashes[match["name"]] = Crashes(before.times + 1 if before else 1, match["how"])
    return crashes


def last_of(log: Path) -> str:
    """The end of a log; empty where there is none."""
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        return file.read().decode(errors="replace")
