"""Supervisor still has the pause that is patched, and the methods that are overridden."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from supervisor import supervisord

from compat.supervisor import Supervisor
from tests.compat.private import parameters
from tests.polling import until

CONFIG = """\
[supervisord]
pidfile={folder}/pid
logfile={folder}/log
childlogdir={folder}

[program:short]
command=sleep 1.5
startsecs=1
autorestart=true
stdout_logfile={folder}/short
"""

PAUSE_S = 0.9
"""Seconds between two looks at which processes have ended."""


def pause_s(module: str, folder: Path) -> float:
    """Seconds from the end of a process to its next start, at the least of three, as told in the log."""
    (folder / "config").write_text(CONFIG.format(folder=folder))
    command = [sys.executable, "-W", "ignore", "-m", module, "--nodaemon", "-c", str(folder / "config")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    log = folder / "log"
    try:
        until(lambda: log.is_file() and log.read_text().count("spawned:") == 4, 60.0)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    lines = log.read_text().splitlines()
    ended = [moment(line) for line in lines if "exited: short" in line]
    started = [moment(line) for line in lines if "spawned: 'short'" in line][1:]
    return min(start - end for start, end in zip(started, ended, strict=False))


def moment(line: str) -> float:
    """Seconds since the epoch of a line such as `2026-11-30 14:09:16,078 INFO ...`."""
    told, milliseconds = line.split(" INFO ", maxsplit=1)[0].split(" WARN ", maxsplit=1)[0].split(",")
    return time.mktime(time.strptime(told, "%Y-%m-%d %H:%M:%S")) + int(milliseconds) / 1000


@pytest.mark.timeout(120)
def test_without_the_patch_a_process_that_ended_is_started_again_a_second_later(tmp_path: Path) -> None:
    plain, patched = tmp_path / "plain", tmp_path / "patched"
    plain.mkdir(), patched.mkdir()
    assert pause_s("supervisor.supervisord", plain) > PAUSE_S, "Supervisor no longer waits: leave it alone"
    assert pause_s("compat.supervisor", patched) < PAUSE_S / 2


def test_the_method_that_is_overridden_takes_what_it_took() -> None:
    assert parameters(supervisord.Supervisor.reap) == "self, once, recursionguard" == parameters(Supervisor.reap)
