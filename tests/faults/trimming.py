"""`make trimming`: `reelstream archive --trim` in a loop under load, and what Kafka's disk holds meanwhile.

Towards the end of each half and at the end: `verify`, a worker restarted, `rebuild`, `rebuild --drop`, and `verify`
again. Kafka deletes a file a second after it has found that all of it was trimmed, which it looks for every minute.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient

import servers
from bench import Load, failures
from features import Event
from stores.kafka.client import connected
from stores.kafka.topics import set_config
from tests.faults.long_run import end, under_load
from tests.faults.soak import send, thirds
from tests.movielens import encode
from tests.system.conftest import System, running_system

USERS, ITEMS = 500, 300
SMALL = {
    # The smallest that Kafka takes: its disk is freed file by file.
    "REELSTREAM_KAFKA__SEGMENT_MB": "1",
    "REELSTREAM_ARCHIVE__EVENTS": "5000",
    "REELSTREAM_ARCHIVE__KEEP_EVENTS": "1000",
}
PADDING = b" " * 2000
"""Behind each event, so that files fill as quickly as at a higher rate."""

PAUSE_S = 5.0
"""Seconds between two runs of `reelstream archive --trim`."""

CHECK_S = 60.0
"""Seconds before the end of each half at which the state is verified and rebuilt, while events arrive."""

LOOK_EVERY_S = 2.0
GROWTH = 0.25
"""Most that Kafka's disk use may grow between the last two thirds of the run, as a share: files come and go."""


def main() -> None:
    """Run it, print the figures, and exit with 1 where a promise is broken."""
    given = under_load("trimming in a loop under load", 15.0).parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="reelstream-trimming-") as folder,
        running_system(Path(folder), users=USERS, items=ITEMS, events=30 * USERS, **SMALL) as system,
    ):
        figures = trim_under_load(system, 60 * given.minutes, given.rate, given.requests)
    end(figures, broken_promises(figures), given.json)


def trim_under_load(system: System, seconds: float, rate: float, requests: float) -> dict[str, Any]:
    """Events and requests at a steady rate, trimming in a loop; the figures."""
    load = Load(system.settings, sorted({event.userid for event in system.events}), requests)
    stopping, trimmed, errors = threading.Event(), list[int](), list[str]()
    disk: list[tuple[float, float]] = []
    threads = [
        threading.Thread(target=_trim_again_and_again, args=(stopping, trimmed, errors), daemon=True),
        threading.Thread(target=_watch, args=(system, disk, stopping), daemon=True),
    ]
    with closing(connected(KafkaAdminClient, system.settings.kafka)) as admin:
        set_config(admin, system.settings.kafka.topic, file_delete_delay_ms="1000")
    load.start()
    for thread in threads:
        thread.start()
    sent, differences, rebuilds = 0, list[int](), list[float]()
    try:
        for _ in range(2):
            sending = _Sending(system, seconds / 2, rate)
            sending.start()
            sending.join(max(0.0, seconds / 2 - CHECK_S))
            differences += _check(system, rebuilds)
            sending.join()
            sent += sending.sent
        stopping.set()
        for thread in threads:
            thread.join()
        system.wait(120)
        differences += _check(system, rebuilds)
    finally:
        stopping.set()
        answers = load.stop()
    return {
        "seconds": seconds,
        "events": sent,
        "sent_mib": round(sent * _bytes_of(system.events[0]) / 2**20, 1),
        "trims": len(trimmed),
        "errors": errors,
        "offsets_trimmed": sum(trimmed),
        "archive_mib": _used_mib(system.settings.archive_folder),
        "kafka_mib": [round(mib, 1) for _, mib in disk[:: max(1, len(disk) // 30)]],
        "kafka_mib_thirds": thirds(disk),
        "differences": differences,
        "rebuild_s": rebuilds,
        "requests": len(answers),
        "failed": sum(request.status != 200 for request in answers),
        "failures": failures(answers),
    }


def broken_promises(figures: dict[str, Any]) -> list[str]:
    """The promises that do not hold."""
    broken = ["differences"] if any(figures["differences"]) else []
    broken += ["errors"] if figures["errors"] else []
    broken += ["failed"] if figures["failed"] else []
    _, middle, last = figures["kafka_mib_thirds"]
    if last > (1 + GROWTH) * middle:
        broken.append(f"Kafka's disk use: {middle} MiB, then {last} MiB")
    return broken


class _Sending(threading.Thread):
    """Sends ratings for some seconds."""

    def __init__(self, system: System, seconds: float, rate: float) -> None:
        super().__init__(daemon=True)
        self._arguments = system, seconds, rate, PADDING
        self.sent = 0

    def run(self) -> None:
        self.sent = send(*self._arguments)


def _check(system: System, rebuilds: list[float]) -> list[int]:
    """Verify, restart the worker, rebuild, and verify again; the differences found."""
    found = [system.verify().differences]
    servers.restart(system.settings, ["workers"])
    rebuilds.append(_command("rebuild")["seconds"])
    # Else trimming goes no further than the state from before is folded.
    _command("rebuild", "--drop")
    return [*found, system.verify().differences]


def _trim_again_and_again(stopping: threading.Event, trimmed: list[int], errors: list[str]) -> None:
    while not stopping.wait(PAUSE_S):
        try:
            done = _command("archive", "--trim")
        except RuntimeError as error:
            errors.append(str(error))
        else:
            trimmed.append(sum(each["begins"] - each["began"] for each in done["trimmed"]))


def _bytes_of(event: Event) -> int:
    """Bytes of an event in the log, without those of its batch."""
    key, value = encode(event)
    return len(key) + len(value) + len(PADDING)


def _command(*words: str) -> dict[str, Any]:
    line = [sys.executable, "-m", "cli", *words, "--json"]
    done = subprocess.run(line, check=False, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr}")
    return json.loads(done.stdout)


def _watch(system: System, disk: list[tuple[float, float]], stopping: threading.Event) -> None:
    while not stopping.wait(LOOK_EVERY_S):
        folders = (system.settings.state / "data" / "kafka").glob(f"{system.settings.kafka.topic}-[0-9]*")
        disk.append((time.monotonic(), sum(map(_used_mib, folders))))


def _used_mib(folder: Path) -> float:
    """Disk that a folder uses, in MiB; files that are deleted meanwhile count for nothing."""
    blocks = 0
    for path in folder.rglob("*"):
        try:
            blocks += path.stat().st_blocks
        except FileNotFoundError:
            continue
    return round(blocks * 512 / 2**20, 2)


if __name__ == "__main__":
    main()
