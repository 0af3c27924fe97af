"""The Grafana dashboard, built with Grafana's own foundation SDK, so that it is valid by construction."""

from __future__ import annotations

from collections.abc import Mapping

from grafana_foundation_sdk.builders import common, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard, Row, ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
)

SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
RECENT = "[$__rate_interval]"

Queries = Mapping[str, str]
"""Expression of each line by its legend, in which `{{label}}` is the value of a label."""


def dashboard() -> str:
    """The dashboard as JSON."""
    board = (
        Dashboard("reelstream")
        .uid("reelstream")
        .tags(["reelstream"])
        .refresh("5s")
        .time("now-30m", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
    )
    for title, panels in _rows().items():
        board = board.with_row(Row(title))
        for panel in panels:
            board = board.with_panel(panel)
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n"


def _rows() -> dict[str, list[timeseries.Panel | Stat]]:
    return {"Now": _now(), "Answers": _answers(), "Stream": _stream(), "Drift": _drift(), "Quality": _quality()}


def _now() -> list[timeseries.Panel | Stat]:
    worst = "max(reelstream_drift_psi / (reelstream_drift_threshold > 0))"
    return [
        _stat("Requests", "reqps", f"sum(rate(reelstream_requests_total{RECENT}))"),
        _stat("Events folded", "cps", f"sum(rate(reelstream_events_applied_total{RECENT}))"),
        _stat("Lag", "short", "sum(reelstream_lag_events)", warn=1000, bad=10_000),
        _stat("Freshness p99", "s", _quantile(0.99, "reelstream_freshness_seconds"), warn=0.5, bad=2),
        _stat("Worst PSI, as a multiple of its threshold", "short", worst, warn=1, bad=2),
        _stat("Unacknowledged causes of drift", "short", "max(reelstream_drift_causes_open)", warn=1, bad=3),
    ]


def _answers() -> list[timeseries.Panel | Stat]:
    rec = 'route="/ml/rec"'
    return [
        _lines(
            "Requests by status",
            "reqps",
            {"{{status}}": f"sum by (status) (rate(reelstream_requests_total{RECENT}))"},
        ),
        _lines(
            "Seconds per list",
            "s",
            {
                "median": _quantile(0.5, "reelstream_request_seconds", rec),
                "99th percentile": _quantile(0.99, "reelstream_request_seconds", rec),
            },
        ),
        _lines(
            "Seconds of a list in each store",
            "s",
            {
                "{{store}}": f"sum by (store) (rate(reelstream_store_seconds_sum{RECENT}))"
                f" / scalar(sum(rate(reelstream_request_seconds_count{{{rec}}}{RECENT})))"
            },
        ),
        _lines(
            "Degraded and fallback lists",
            "cps",
            {
                "without {{store}}": f"sum by (store) (rate(reelstream_degraded_total{RECENT}))",
                "{{why}}": f"sum by (why) (rate(reelstream_fallback_total{RECENT}))",
            },
        ),
    ]


def _stream() -> list[timeseries.Panel | Stat]:
    return [
        _lines(
            "Events per second",
            "cps",
            {
                "folded": f"sum(rate(reelstream_events_applied_total{RECENT}))",
                "redelivered": f"sum(rate(reelstream_events_redelivered_total{RECENT}))",
                "dead letters": f"sum(rate(reelstream_events_dead_total{RECENT}))",
            },
        ),
        _lines(
            "Events appended by the API, by type",
            "cps",
            {"{{type}}": f"sum by (type) (rate(reelstream_events_appended_total{RECENT}))"},
        ),
        _lines("Lag by partition", "short", {"{{partition}}": "sum by (partition) (reelstream_lag_events)"}),
        _lines(
            "Seconds from append to visibility",
            "s",
            {
                "median": _quantile(0.5, "reelstream_freshness_seconds"),
                "99th percentile": _quantile(0.99, "reelstream_freshness_seconds"),
            },
        ),
        _lines(
            "Seconds to fold a batch",
            "s",
            {
                "median": _quantile(0.5, "reelstream_batch_seconds"),
                "99th percentile": _quantile(0.99, "reelstream_batch_seconds"),
            },
        ),
        _lines(
            "Failed attempts to reach a store",
            "cps",
            {"{{what}}": f"sum by (what) (rate(reelstream_store_retries_total{RECENT}))"},
        ),
        _lines("Item rows published", "cps", {"rows": f"sum(rate(reelstream_items_published_total{RECENT}))"}),
    ]


def _drift() -> list[timeseries.Panel | Stat]:
    times = "max by (series) (reelstream_drift_psi / (reelstream_drift_threshold > 0))"
    return [
        _lines(
            "PSI as a multiple of its threshold, ten worst series",
            "short",
            {"{{series}}": f"topk(10, {times})"},
            limit=1,
        ),
        _lines("Share missing", "percentunit", {"{{series}}": "max by (series) (reelstream_drift_missing_share) > 0"}),
        _lines("Open alarms", "short", {"{{series}}": "max by (series) (reelstream_drift_alarms_open) > 0"}),
        _lines("Windows per minute", "short", {"windows": f"60 * sum(rate(reelstream_drift_windows_total{RECENT}))"}),
        _lines(
            "Seconds until an event is counted",
            "s",
            {"99th percentile": _quantile(0.99, "reelstream_drift_delay_seconds")},
        ),
    ]


def _quality() -> list[timeseries.Panel | Stat]:
    return [
        _lines("AUC of a like", "short", {"run {{run}}": "max by (run) (reelstream_quality_auc)"}),
        _lines("Log loss", "short", {"run {{run}}": "max by (run) (reelstream_quality_logloss)"}),
        _lines("Calibration error", "short", {"run {{run}}": "max by (run) (reelstream_quality_ece)"}),
        _lines(
            "Hit rate",
            "percentunit",
            {"top 10": "max(reelstream_quality_hit10)", "top 50": "max(reelstream_quality_hit50)"},
        ),
        _lines("Likes", "percentunit", {"likes": "max(reelstream_quality_label_rate)"}),
        _lines("Share of events scored", "percentunit", {"scored": "max(reelstream_quality_sampling_rate)"}),
    ]


def _quantile(share: float, histogram: str, labels: str = "") -> str:
    selector = f"{{{labels}}}" if labels else ""
    return f"histogram_quantile({share}, sum by (le) (rate({histogram}_bucket{selector}{RECENT})))"


def _queries(queries: Queries) -> list[Dataquery]:
    return [
        Dataquery().ref_id(chr(ord("A") + place)).expr(expression).legend_format(legend).datasource(SOURCE)
        for place, (legend, expression) in enumerate(queries.items())
    ]


def _lines(title: str, unit: str, queries: Queries, limit: float | None = None) -> timeseries.Panel:
    panel = (
        timeseries.Panel()
        .title(title)
        .datasource(SOURCE)
        .unit(unit)
        .height(8)
        .span(8)
        .line_width(2)
        .fill_opacity(8)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    for query in _queries(queries):
        panel = panel.with_target(query)
    if limit is not None:
        style = common.GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.LINE)
        panel = panel.thresholds(_thresholds(limit, 2 * limit)).thresholds_style(style)
    return panel


def _stat(title: str, unit: str, query: str, warn: float | None = None, bad: float | None = None) -> Stat:
    panel = (
        Stat()
        .title(title)
        .datasource(SOURCE)
        .unit(unit)
        .height(4)
        .span(4)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .graph_mode(BigValueGraphMode.AREA)
        .color_mode(BigValueColorMode.VALUE)
    )
    for target in _queries({title: query}):
        panel = panel.with_target(target)
    return panel.thresholds(_thresholds(warn, bad))


def _thresholds(warn: float | None, bad: float | None) -> ThresholdsConfig:
    steps = [Threshold(value=None, color="green")]
    steps += [Threshold(value=warn, color="orange")] if warn is not None else []
    steps += [Threshold(value=bad, color="red")] if bad is not None else []
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
