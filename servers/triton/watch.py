"""Runs Triton, and ends it when a process in which it runs a model has died.

`python -I watch.py SERVER ARGUMENTS`. Triton's Python backend reports the stub of such a model as unhealthy
and never starts another, while the server continues to call itself live. Once it has ended, the supervisor starts it
with all its models. A model that is unloaded ends its process too, but Triton collects that one at once; a process that
stays a zombie has died by itself.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import time
from pathlib import Path

EVERY_S = 0.5
CHECKS = 3
"""Checks in a row at which a process must be a zombie."""
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run the server until it ends, by itself or for a dead model."""
    server = subprocess.Popen(sys.argv[1:], preexec_fn=die_with_parent)  # noqa: PLW1509 (this process has no threads)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: server.send_signal(received))
    dead: dict[int, int] = {}
    while True:
        try:
            sys.exit(server.wait(EVERY_S))
        except subprocess.TimeoutExpired:
            dead = {child: dead.get(child, 0) + 1 for child in zombies(server.pid)}
        if any(times >= CHECKS for times in dead.values()):
            print(f"{time.strftime('%F %T')} a model's process has died; Triton ends and is started again", flush=True)
            server.kill()
            server.wait()
            sys.exit(1)


def zombies(parent: int) -> list[int]:
    """Children of a process that have ended and that it has not collected."""
    dead = []
    for children in Path(f"/proc/{parent}/task").glob("*/children"):
        try:
            for child in children.read_text().split():
                # The state stands behind the name, which is in brackets and may hold anything.
                if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                    dead.append(int(child))
        except OSError:
            continue
    return dead


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
