"""Run by the supervisor, as a file and without the package, to become a component: `python -I launch.py LAUNCH.json`.

The supervisor starts a dead component again through this, so that each start reads the newest launch file, first ends
what an earlier run of the component left behind, and dies with the supervisor.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

SUPERVISED_IN = "REELSTREAM_SUPERVISED_IN"
PART = "SUPERVISOR_PROCESS_NAME"
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Clear up, prepare where needed, and turn into the component."""
    launch = json.loads(Path(sys.argv[1]).read_text())
    _end_leftovers()
    if launch["leftovers"]:
        pattern = Path(launch["leftovers"])
        for file in pattern.parent.glob(pattern.name):
            file.unlink()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    kept = {name: os.environ[name] for name in (SUPERVISED_IN, PART) if name in os.environ}
    environment = {**launch["environment"], **kept}
    os.chdir(launch["directory"])
    if launch["first"] and not Path(launch["first_makes"]).exists():
        subprocess.run(launch["first"], env=environment, check=True)
    os.execve(launch["argv"][0], launch["argv"], environment)


def _end_leftovers() -> None:
    """Kill processes of an earlier run of this component, such as the children of one that was killed itself."""
    marks = {f"{name}={os.environ[name]}".encode() for name in (SUPERVISED_IN, PART)}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int(folder.name) != os.getpid() and marks <= set((folder / "environ").read_bytes().split(b"\0")):
                os.kill(int(folder.name), signal.SIGKILL)
        except OSError:
            continue


if __name__ == "__main__":
    main()
