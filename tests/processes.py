"""Killing processes of a running system."""

from __future__ import annotations

import os
import signal

import servers
from settings import Settings
from tests.polling import until


def kill(settings: Settings, name: str) -> int:
    """Send SIGKILL to a part, once it runs, as it may not have been restarted since the last kill; its process id."""

    def kill_running() -> int:
        pid = servers.pid(settings, name)
        os.kill(pid, signal.SIGKILL)
        return pid

    return until(kill_running, not_yet=(servers.NotRunning, ProcessLookupError))
