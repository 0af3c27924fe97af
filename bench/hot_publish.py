"""Requests while a run is published: failures, mixed answers, latency."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import quantiles
from typing import Any

from bench.load import Load, Request, failures
from features import Id
from settings import Settings

AROUND_S = 2.0
"""The switch is the publishing itself and this long after."""


def hot_publish(
    settings: Settings, userids: Sequence[Id], publish: Callable[[], str], *, per_s: float, seconds: float
) -> dict[str, Any]:
    """Publish a run a third of the way into a steady load.

    An answer is mixed if it names a run that is neither the one before nor the one after, if it is degraded, or if it
    is made by the run before after one made by the run after was due two seconds earlier. That index, encoder and
    ranker of an answer are of one run is held in `stores/`: the API names the run's own index and the version of the
    models, and an answer of another version is an error.

    Args:
        settings: all settings.
        userids: whose lists are asked for.
        publish: publishes and gives the run that is live then.
        per_s: requests a second.
        seconds: length of the load.

    Returns:
        Counts of requests, failed and mixed ones, and p50 and p99 in milliseconds before, during and after.
    """
    load = Load(settings, userids, per_s)
    load.start()
    time.sleep(seconds / 3)
    began = load.now()
    after_run = publish()
    ended = load.now()
    time.sleep(max(AROUND_S + 1.0, seconds - load.now()))
    requests = load.stop()
    before_run = requests[0].run
    before = [request for request in requests if request.began < began]
    during = [request for request in requests if began <= request.began < ended + AROUND_S]
    after = [request for request in requests if request.began >= ended + AROUND_S]
    figures: dict[str, Any] = {
        "requests": len(requests),
        "failed": sum(request.status != 200 for request in requests),
        "failures": failures(requests),
        "mixed": sum(request.run not in (before_run, after_run) or bool(request.degraded) for request in requests)
        + sum(request.run != after_run for request in after),
        "runs": {"before": before_run, "after": after_run},
        "publish_s": round(ended - began, 2),
    }
    for name, part in (("before", before), ("during", during), ("after", after)):
        figures[name] = percentiles(part)
    figures["ratio_p99"] = round(figures["during"]["p99_ms"] / figures["before"]["p99_ms"], 2)
    return figures


def percentiles(part: Sequence[Request]) -> dict[str, float]:
    """Median and 99th percentile of some requests, in milliseconds."""
    cuts = quantiles([request.ms for request in part], n=100)
    return {"requests": len(part), "p50_ms": round(cuts[49], 1), "p99_ms": round(cuts[98], 1)}
