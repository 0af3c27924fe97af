"""Metrics of the API, summed over its processes where `PROMETHEUS_MULTIPROC_DIR` is set."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1, 2.5)

STORE_SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.5, 2)


class Metrics:
    """Counters and histograms of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        r = self._registry
        self.requests = Counter("reelstream_requests", "Requests answered", ["route", "status"], registry=r)
        self.seconds = Histogram(
            "reelstream_request_seconds", "Seconds to answer a request", ["route"], buckets=SECONDS, registry=r
        )
        self.stores = Histogram(
            "reelstream_store_seconds", "Seconds of a list in a store", ["store"], buckets=STORE_SECONDS, registry=r
        )
        self.events = Counter("reelstream_events_appended", "Events appended to the log", ["type"], registry=r)
        self.degraded = Counter("reelstream_degraded", "Answers made without a store", ["store"], registry=r)
        self.fallback = Counter("reelstream_fallback", "Lists not made from the user's events", ["why"], registry=r)

    def took(self, store: str, seconds: float) -> None:
        """Observe the time that a list spent in a store."""
        self.stores.labels(store).observe(seconds)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            return generate_latest(registry)
        return generate_latest(self._registry)
