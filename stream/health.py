"""The health of a worker: its metrics, the failures that it survived, and what it waits for."""

from __future__ import annotations

from dataclasses import dataclass

from settings import StreamSettings
from stream.metrics import Metrics
from stream.retry import Retrier
from stream.troubles import Troubles


@dataclass(frozen=True)
class Health:
    """The health of a worker.

    Attributes:
        metrics: what Prometheus is told.
        troubles: failures that the worker survives; none of them stops the fold.
        retrier: calls the stores until they answer, and knows which do not.
    """

    metrics: Metrics
    troubles: Troubles
    retrier: Retrier

    @classmethod
    def of(cls, settings: StreamSettings) -> Health:
        """The health of a worker that has just started."""
        metrics = Metrics()
        return cls(
            metrics,
            Troubles(lambda kind, n: metrics.troubles.labels(kind).inc(n)),
            Retrier(settings.retry_max_s, lambda what: metrics.retries.labels(what).inc()),
        )
