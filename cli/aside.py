"""Work that lets what serves go first."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from types import FrameType

LOWEST = 19


def step_aside() -> None:
    """Continue in a child process that runs only on idle processors; this process waits, and exits as the child does.

    A process of the lowest priority would keep its processor for some milliseconds when a server wakes, at each of the
    steps that a request takes from server to server. And a kernel that shares processors among sessions first
    (autogroup, see sched(7)) would give it as much as all servers together.
    """
    child = os.fork()
    if child:

        def pass_on(number: int, _: FrameType | None) -> None:
            os.kill(child, number)

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, pass_on)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        os._exit(code if code >= 0 else 128 - code)
    os.setsid()
    os.nice(LOWEST)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(LOWEST))
