"""State of the page Stream: rates, lag, freshness, dead letters, workers and the health of the stores."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from api.pages.poller import Audience, Poller
from api.pages.rates import Freshness, Rate, quantile
from api.pages.tail import LogTail, Tail
from api.pages.workers import Workers, WorkerSeen
from api.services import Services
from features import EventFormat
from stores import StoreError, Unreachable

KEPT_S = 300
"""Seconds of samples that are kept."""


@dataclass(frozen=True)
class Reach:
    """The ends of the log, and the visible offsets.

    Attributes:
        tail: the end of the log.
        visible: last offset whose event is visible, by partition, read right after the end of the log, so that the two
            can be compared; None where Redis is away.
    """

    tail: Tail
    visible: list[int] | None

    @property
    def lags(self) -> list[int] | None:
        """Events of each partition that are not visible yet."""
        if self.visible is None:
            return None
        return [max(0, self.tail.ends.get(place, 0) - 1 - visible) for place, visible in enumerate(self.visible)]


class StreamState:
    """Watches the stream while somebody looks; one sample a second."""

    def __init__(self, services: Services) -> None:
        self._services = services
        settings = services.settings
        self.audience = Audience()
        self._tail = LogTail(settings.kafka, self._form)
        workers = Workers(settings.stream)
        feast = f"http://{settings.feast.host}:{settings.feast.port}/health"
        self.log: Poller[Reach] = self._poller("Kafka", self._ask_log)
        self.dead: Poller[dict[str, int]] = self._poller("Redis", self._dead)
        self.workers: Poller[list[WorkerSeen]] = self._poller("stream workers", workers.ask)
        self.stores: list[Poller[Any]] = [
            self.log,
            self.dead,
            self._poller("Elasticsearch", lambda: _lives("Elasticsearch", services.index.live)),
            self._poller("Triton", lambda: _lives("Triton", services.models.live)),
            self._poller("Feast server", lambda: _answers(feast)),
        ]
        self._samples: deque[dict[str, Any]] = deque(maxlen=KEPT_S)
        self._written, self._folded, self._freshness = Rate(), Rate(), Freshness()
        self._sampler: threading.Thread | None = None
        self._starting = threading.Lock()

    def _form(self) -> EventFormat | None:
        """The format of events of the data set that is live when it is asked."""
        live = self._services.follower.live
        return live.schema.events if live else None

    def _dead(self) -> dict[str, int]:
        """Dead letters in the generation that is live when it is asked."""
        return self._services.profiles.dead()

    def _poller(self, name: str, ask: Callable[[], Any]) -> Poller[Any]:
        return Poller(name, ask, self.audience)

    def look(self, since: int) -> dict[str, Any]:
        """Return everything as JSON, with the samples after the second `since`."""
        self.audience.looks()
        with self._starting:
            if self._sampler is None:
                self._sampler = threading.Thread(target=self._sample, name="samples of the page Stream", daemon=True)
                self._sampler.start()
        reach, workers, dead = self.log.look(), self.workers.look(), self.dead.look()
        follower = self._services.follower
        live = follower.live
        return {
            "now": time.time(),
            "samples": [sample for sample in list(self._samples) if sample["t"] > since],
            "partitions": self._partitions(reach.fresh, workers.value or []),
            "workers": [_worker(worker) for worker in workers.value or []],
            "workers_error": workers.error,
            "stores": [_store(poller) for poller in self.stores],
            "dead": dead.fresh,
            "run": live.run.run if live else None,
            "items": len(live.items.table) if live else None,
            "waits_for": follower.waits_for or follower.limited_by,
        }

    def _ask_log(self) -> Reach:
        tail = self._tail.ask()
        try:
            visible = [-1 if each is None else each for each in self._services.profiles.visible_offsets()]
        except StoreError:
            return Reach(tail, None)
        return Reach(tail, visible)

    def _partitions(self, reach: Reach | None, workers: list[WorkerSeen]) -> list[dict[str, Any]]:
        holder = {partition: worker.name for worker in workers if worker.answers for partition in worker.partitions}
        lags = reach.lags if reach else None
        return [
            {
                "partition": partition,
                "written": reach.tail.ends.get(partition) if reach else None,
                "lag": lags[partition] if lags else None,
                "worker": holder.get(partition),
                "stopped": self._services.log_watch.stopped.get(partition),
            }
            for partition in range(self._services.profiles.partitions)
        ]

    def _sample(self) -> None:
        while True:
            self.audience.wait()
            began = time.monotonic()
            self._samples.append(self._take(began))
            time.sleep(max(0.0, 1.0 - (time.monotonic() - began)))

    def _take(self, at_s: float) -> dict[str, Any]:
        reach, workers = self.log.glance(), self.workers.glance()
        sample: dict[str, Any] = {"t": int(time.time())}
        if reach.fresh and reach.age_s is not None:
            # The rate is taken between the moments of the answers, not between those of the samples.
            asked = at_s - reach.age_s
            sample["written"] = _rounded(self._written.add(asked, sum(reach.fresh.tail.ends.values())))
            if reach.fresh.visible and reach.fresh.lags:
                sample["folded"] = _rounded(self._folded.add(asked, sum(each + 1 for each in reach.fresh.visible)))
                sample["lag"] = sum(reach.fresh.lags)
        if workers.fresh:
            buckets = self._freshness.add(at_s, {worker.name: worker.freshness for worker in workers.fresh})
            for name, share in (("p50", 0.5), ("p99", 0.99)):
                seconds = quantile(buckets, share)
                sample[name] = None if seconds is None else _rounded(1000 * seconds)
        return sample


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _lives(name: str, question: Callable[[], bool]) -> bool:
    if not question():
        raise Unreachable(f"{name} does not answer; see `reelstream status`")
    return True


def _answers(url: str) -> bool:
    try:
        requests.get(url, timeout=(0.5, 2.0)).raise_for_status()
    except requests.RequestException as error:
        raise StoreError("the Feast server does not answer; only outside callers need it") from error
    return True


def _store(poller: Poller[Any]) -> dict[str, Any]:
    seen = poller.look()
    asked = seen.value is not None or seen.error is not None
    return {
        "name": poller.name,
        "ok": None if not asked else seen.error is None,
        "took_ms": _rounded(seen.took_ms),
        "age_s": _rounded(seen.age_s),
        "error": seen.error,
    }


def _worker(worker: WorkerSeen) -> dict[str, Any]:
    counters = worker.counters
    return {
        "name": worker.name,
        "answers": worker.answers,
        "partitions": worker.partitions,
        "waits_for": worker.waits_for,
        "troubles": worker.troubles,
        "applied": counters.get("reelstream_events_applied_total"),
        "redelivered": counters.get("reelstream_events_redelivered_total"),
        "dead": counters.get("reelstream_events_dead_total"),
    }
