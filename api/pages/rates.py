"""Rates and quantiles from counters that only grow."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

RATE_S = 5.0
"""Seconds over which a rate is taken."""

FRESHNESS_S = 15.0
"""Seconds over which freshness is taken."""

Buckets = Mapping[float, float]
"""A Prometheus histogram: how many values were at most as large as each upper edge, the last of which is infinite."""


class Rate:
    """Growth of a counter a second over the last seconds."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque()

    def add(self, at_s: float, total: float) -> float | None:
        """The rate with a new reading; None before the second, and after a counter that started over."""
        points = self._points
        if points and total < points[-1][1]:
            points.clear()
        points.append((at_s, total))
        while len(points) > 2 and points[1][0] <= at_s - RATE_S:
            points.popleft()
        began, first = points[0]
        return (total - first) / (at_s - began) if at_s > began else None


class Freshness:
    """The histogram of the last seconds, of all workers together, from the histograms since each began."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, dict[str, Buckets]]] = deque()

    def add(self, at_s: float, by_worker: dict[str, Buckets]) -> dict[float, float]:
        """Values at most as large as each edge in the last seconds, with new readings; empty before the second."""
        points = self._points
        points.append((at_s, by_worker))
        while len(points) > 2 and points[1][0] <= at_s - FRESHNESS_S:
            points.popleft()
        total: dict[float, float] = {}
        for worker, now in by_worker.items():
            before = points[0][1].get(worker)
            if before is None or any(now[edge] < before.get(edge, 0.0) for edge in now):
                continue
            for edge, n in now.items():
                total[edge] = total.get(edge, 0.0) + n - before.get(edge, 0.0)
        return total


def quantile(buckets: Buckets, share: float) -> float | None:
    """A quantile, even within its bucket, as Prometheus' `histogram_quantile` takes it; None without values.

    >>> quantile({0.01: 50.0, 0.02: 100.0, float("inf"): 100.0}, 0.75)
    0.015
    """
    edges = sorted(buckets)
    if not edges or buckets[edges[-1]] <= 0:
        return None
    wanted = share * buckets[edges[-1]]
    low, below = 0.0, 0.0
    for edge in edges:
        if buckets[edge] >= wanted:
            if edge == float("inf"):
                return low
            inside = buckets[edge] - below
            return low + (edge - low) * ((wanted - below) / inside if inside else 1.0)
        low, below = edge, buckets[edge]
    return low
