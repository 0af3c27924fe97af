"""Finds the stream workers and asks each for its health and metrics."""

from __future__ import annotations

import math
import socket
import time
from dataclasses import dataclass, field

import requests
from prometheus_client.parser import text_string_to_metric_families

from settings import StreamSettings
from stores import Unreachable

PORTS = 16
"""Ports that a worker of one address may have: as many as `stream.workers` allows."""

FIND_EVERY_S = 5.0
REMEMBERED_S = 60.0
"""Seconds between two searches for workers, and for which one that is gone is still named."""

TIMEOUT_S = (0.5, 1.0)
"""Seconds to connect to a worker and to wait for its answer."""

FRESHNESS = "reelstream_freshness_seconds"


@dataclass(frozen=True)
class WorkerSeen:
    """A worker.

    Attributes:
        name: `worker-0`, or its address where it is not on this machine.
        answers: whether it did this time.
        partitions: those that it holds.
        waits_for: what it cannot continue without, None while it works.
        troubles: the failures that it survived recently, by kind.
        counters: its own metrics without labels, by name.
        freshness: its histogram of seconds from an event's time in the log until it can be served.
    """

    name: str
    answers: bool
    partitions: list[int] = field(default_factory=list)
    waits_for: str | None = None
    troubles: dict[str, str] = field(default_factory=dict)
    counters: dict[str, float] = field(default_factory=dict)
    freshness: dict[float, float] = field(default_factory=dict)


class Workers:
    """Asks the workers at the addresses that `stream.host` names, from port `stream.metrics_port` on."""

    def __init__(self, settings: StreamSettings) -> None:
        self._settings = settings
        self._session = requests.Session()
        self._session.trust_env = False
        self._found: dict[tuple[str, int], float] = {}
        self._searched = -math.inf

    def ask(self) -> list[WorkerSeen]:
        """Every worker that answers, and those that did a moment ago.

        Raises:
            Unreachable: if there is none.
        """
        now = time.monotonic()
        search = now - self._searched > FIND_EVERY_S
        if search:
            self._searched = now
        where = set(self._found) | (set(self._places()) if search else set())
        seen = []
        for address, port in sorted(where):
            worker = self._one(address, port)
            if worker.answers:
                self._found[address, port] = now
            elif now - self._found.get((address, port), -math.inf) > REMEMBERED_S:
                self._found.pop((address, port), None)
                continue
            seen.append(worker)
        if not any(worker.answers for worker in seen):
            raise Unreachable("no stream worker answers; see `reelstream status`")
        return seen

    def _places(self) -> list[tuple[str, int]]:
        host = self._settings.host
        first = self._settings.metrics_port
        try:
            found = socket.getaddrinfo(
                "127.0.0.1" if host in ("0.0.0.0", "::") else host,  # nosec B104: compared, not bound to
                first,
                type=socket.SOCK_STREAM,
            )
        except OSError:
            return []
        addresses = {str(each[4][0]) for each in found}
        return [(address, port) for address in addresses for port in range(first, min(first + PORTS, 65536))]

    def _one(self, address: str, port: int) -> WorkerSeen:
        local = address.startswith("127.") or address == "::1"
        name = f"worker-{port - self._settings.metrics_port}" if local else address
        root = f"http://{f'[{address}]' if ':' in address else address}:{port}"
        try:
            health = self._session.get(f"{root}/health", timeout=TIMEOUT_S).json()
            partitions, waits_for, troubles = health["partitions"], health["waits_for"], health["troubles"]
            metrics = self._session.get(f"{root}/metrics", timeout=TIMEOUT_S).text
        except (requests.RequestException, ValueError, KeyError, TypeError):
            return WorkerSeen(name, False)
        return WorkerSeen(name, True, partitions, waits_for, troubles, *_read(metrics))


def _read(metrics: str) -> tuple[dict[str, float], dict[float, float]]:
    """Values without labels by name, and the histogram of freshness."""
    counters: dict[str, float] = {}
    freshness: dict[float, float] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == f"{FRESHNESS}_bucket":
                freshness[float(sample.labels["le"])] = sample.value
            elif not sample.labels:
                counters[sample.name] = sample.value
    return counters, freshness
