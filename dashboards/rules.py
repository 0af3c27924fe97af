"""Alert rules for Prometheus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

GROUP = "reelstream"


@dataclass(frozen=True)
class Rule:
    """An alert.

    Attributes:
        name: what people call it.
        when: the expression that is true while something is wrong.
        lasting: how long it must be true, as Prometheus writes durations.
        severity: `page` wakes somebody, `ticket` waits for the morning.
        says: what is wrong and what to do, with `{{ $labels.name }}` and `{{ $value }}`.
    """

    name: str
    when: str
    lasting: str
    severity: str
    says: str

    def as_yaml(self) -> dict[str, Any]:
        """As it stands in a rule file."""
        return {
            "alert": self.name,
            "expr": self.when,
            "for": self.lasting,
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.says},
        }


RULES = (
    Rule("ApiAway", 'up{job="api"} == 0', "1m", "page", "The API does not answer; see its log."),
    Rule(
        "NoWorker",
        'sum(up{job="worker"}) == 0 or absent(up{job="worker"})',
        "1m",
        "page",
        "No stream worker answers: events wait in the log and lists do not change.",
    ),
    Rule(
        "StreamBehind",
        "sum(reelstream_lag_events) > 10000",
        "2m",
        "page",
        "{{ $value }} events are not folded yet; start more workers, or see what they are waiting for.",
    ),
    Rule(
        "ListsNotFresh",
        "histogram_quantile(0.99, sum by (le) (rate(reelstream_freshness_seconds_bucket[5m]))) > 2",
        "5m",
        "ticket",
        "1 of 100 events takes more than {{ $value }} s from its append to its visibility.",
    ),
    Rule(
        "DeadEvents",
        "sum(increase(reelstream_events_dead_total[10m])) > 0",
        "0m",
        "ticket",
        "{{ $value }} records became dead letters in 10 minutes; see `reelstream dead list`.",
    ),
    Rule(
        "WorkerTroubles",
        "sum by (kind) (increase(reelstream_troubles_total[10m])) > 0",
        "0m",
        "ticket",
        "A worker survived {{ $value }} failures ({{ $labels.kind }}) in 10 minutes; see `reelstream status`.",
    ),
    Rule(
        "StoreAway",
        "sum by (store) (rate(reelstream_degraded_total[2m])) > 0.1",
        "2m",
        "page",
        "Lists are made without {{ $labels.store }}; see `reelstream status`.",
    ),
    Rule(
        "ListsSlow",
        'histogram_quantile(0.99, sum by (le) (rate(reelstream_request_seconds_bucket{route="/ml/rec"}[5m]))) > 0.25',
        "5m",
        "ticket",
        "1 of 100 lists takes more than {{ $value }} s.",
    ),
    Rule(
        "Errors",
        'sum(rate(reelstream_requests_total{status=~"5.."}[5m])) / sum(rate(reelstream_requests_total[5m])) > 0.01',
        "5m",
        "page",
        "More than 1 of 100 requests fails; see the log of the API.",
    ),
    Rule(
        "Drift",
        "max(reelstream_drift_causes_open) > 0",
        "0m",
        "ticket",
        "{{ $value }} causes of drift are not acknowledged; see the page Drift or `reelstream drift list`.",
    ),
    Rule(
        "RankerWorse",
        "max by (run) (reelstream_quality_auc) < max by (run) (avg_over_time(reelstream_quality_auc[1d])) - 0.03",
        "30m",
        "ticket",
        "The AUC of a like of run {{ $labels.run }} is {{ $value }}, 0.03 below its mean of the last day; see Quality.",
    ),
)


def rules() -> dict[str, Any]:
    """The rule file."""
    return {"groups": [{"name": GROUP, "rules": [rule.as_yaml() for rule in RULES]}]}
