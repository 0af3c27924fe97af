"""Every metric that the Grafana dashboard and the alert rules name is one that the running system shows."""

from __future__ import annotations

import json
import re

import requests
from prometheus_client.parser import text_string_to_metric_families

from dashboards import files
from dashboards.rules import RULES
from tests.system.conftest import System
from tests.system.test_degraded import without

METRIC = re.compile(r"\breelstream_[a-z0-9_]+")


def named() -> set[str]:
    """Metrics in the expressions."""
    board = json.loads(files()["grafana/boards/reelstream.json"])
    expressions = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    return {name for each in [*expressions, *(rule.when for rule in RULES)] for name in METRIC.findall(each)}


def shown(text: str) -> set[str]:
    """Metrics of a page, as they can be asked for."""
    endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}
    return {family.name + ending for family in text_string_to_metric_families(text) for ending in endings[family.type]}


def test_every_metric_that_is_named_exists(system: System) -> None:
    # A counter by label is shown from its first event on.
    system.rec(userid=999_999, size=1)
    with without(system, "elasticsearch"):
        system.rec(userid=system.events[0].userid, size=1)
    api = system.get("/metrics").text
    worker = requests.get(f"http://127.0.0.1:{system.settings.stream.metrics_port}/metrics", timeout=10).text
    assert named() - shown(api) - shown(worker) == set()
    assert len(named()) > 20
