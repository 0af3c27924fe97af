"""Metrics of a stream worker."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from stream.troubles import KINDS

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counters, gauges and histograms of one worker, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.applied = Counter("reelstream_events_applied", "Events folded into state", registry=r)
        self.redelivered = Counter("reelstream_events_redelivered", "Events that the state held already", registry=r)
        self.dead = Counter("reelstream_events_dead", "Records that became dead letters", registry=r)
        self.items = Counter("reelstream_items_published", "Item rows written to the feature store", registry=r)
        self.evicted = Counter("reelstream_users_evicted", "Inactive users moved from Redis to files", registry=r)
        self.retries = Counter("reelstream_store_retries", "Tries that a store did not answer", ["what"], registry=r)
        self.troubles = Counter("reelstream_troubles", "Failures that the worker survived", ["kind"], registry=r)
        for kind in KINDS:
            self.troubles.labels(kind)
        self.batch_seconds = Histogram(
            "reelstream_batch_seconds", "Seconds to fold a batch into all stores", buckets=SECONDS, registry=r
        )
        self.freshness_seconds = Histogram(
            "reelstream_freshness_seconds",
            "Seconds from an event's time in the log until it can be served",
            buckets=SECONDS,
            registry=r,
        )
        self.lag = Gauge("reelstream_lag_events", "Events in the log not yet folded", ["partition"], registry=r)
        self.stopped = Gauge(
            "reelstream_partition_stopped", "1 if the partition's log is not its state's own", ["partition"], registry=r
        )
