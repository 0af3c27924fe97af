"""The components that died of late, as the supervisor's log tells."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from servers import crashes


def line(minutes_ago: float, text: str) -> str:
    when = datetime.now() - timedelta(minutes=minutes_ago)
    return f"{when:%Y-%m-%d %H:%M:%S},123 {text}\n"


def test_deaths_of_the_last_minutes_are_counted_by_part(tmp_path: Path) -> None:
    log = tmp_path / "supervisor.log"
    log.write_text(
        line(60, "WARN exited: redis (terminated by SIGKILL; not expected)")
        + line(3, "WARN exited: worker-0 (exit status 1; not expected)")
        + line(2, "INFO spawned: 'worker-0' with pid 1")
        + line(1, "WARN exited: worker-0 (terminated by SIGKILL; not expected)")
        + line(1, "INFO stopped: api (exit status 0)")
    )
    found = crashes.recent(log)
    assert set(found) == {"worker-0"}
    assert (
        found["worker-0"].in_words() == "crashed 2 times in the last 10 minutes, most recently: terminated by SIGKILL"
    )


def test_without_a_log_nothing_died(tmp_path: Path) -> None:
    assert crashes.recent(tmp_path / "none.log") == {}
