"""Metrics of drift."""

from __future__ import annotations

from collections import Counter as Counted

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from drift.records import DriftUpdate
from stores import DriftStore

SECONDS = (0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 5, 10, 30, 60)


class DriftMetrics:
    """Gauges of the latest window, and how long events take to be counted."""

    def __init__(self, registry: CollectorRegistry) -> None:
        r = registry
        self.psi = Gauge("reelstream_drift_psi", "PSI of the latest window", ["series"], registry=r)
        self.threshold = Gauge("reelstream_drift_threshold", "PSI that normal stays under", ["series"], registry=r)
        self.missing = Gauge("reelstream_drift_missing_share", "Share of missing values", ["series"], registry=r)
        self.alarms = Gauge("reelstream_drift_alarms_open", "Open alarms", ["series"], registry=r)
        self.causes = Gauge("reelstream_drift_causes_open", "Causes of open alarms not acknowledged", registry=r)
        self.windows = Counter("reelstream_drift_windows", "Windows looked at", registry=r)
        self.auc = Gauge("reelstream_quality_auc", "AUC of P(like) before learning", ["run"], registry=r)
        self.logloss = Gauge("reelstream_quality_logloss", "Log loss of P(like) before learning", ["run"], registry=r)
        self.ece = Gauge("reelstream_quality_ece", "Calibration error of P(like)", ["run"], registry=r)
        self.label_rate = Gauge("reelstream_quality_label_rate", "Share of likes", ["run"], registry=r)
        self.hit10 = Gauge("reelstream_quality_hit10", "Liked items in the first 10 of the list", ["run"], registry=r)
        self.hit50 = Gauge("reelstream_quality_hit50", "Liked items in the first 50 of the list", ["run"], registry=r)
        self.sampling = Gauge("reelstream_quality_sampling_rate", "Share of events that are scored", registry=r)
        self.delay_seconds = Histogram(
            "reelstream_drift_delay_seconds",
            "Seconds from an event's sending to its being counted",
            buckets=SECONDS,
            registry=r,
        )

    def show(self, update: DriftUpdate, store: DriftStore) -> None:
        """Show what a batch changed."""
        self.windows.inc(len(update.windows))
        for series in update.now.series if update.now else ():
            self.psi.labels(series.name).set(series.psi)
            self.threshold.labels(series.name).set(series.threshold)
            self.missing.labels(series.name).set(series.missing)
        if update.now or update.opened or update.closed:
            alarms, acknowledged = store.alarms(0), store.acknowledged()
            self.causes.set(len({alarm.cause for alarm in alarms} - acknowledged.keys()))
            opened = Counted(alarm.series for alarm in alarms)
            known = [series.name for series in update.now.series] if update.now else []
            for name in {*known, *opened, *(alarm.series for alarm in update.closed)}:
                self.alarms.labels(name).set(opened[name])
        for quality in update.quality[-1:]:
            gauges = (self.auc, self.logloss, self.ece, self.label_rate, self.hit10, self.hit50)
            values = (
                quality.auc,
                quality.logloss,
                quality.ece,
                quality.label_rate,
                quality.hit10,
                quality.hit50,
            )
            for gauge, value in zip(gauges, values, strict=True):
                gauge.clear()  # the figures of another run do not stay
                if value is not None:
                    gauge.labels(quality.run).set(value)
            self.sampling.set(quality.sampling)
