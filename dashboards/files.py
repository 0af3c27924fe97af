"""The files, by their path in this folder."""

from __future__ import annotations

from typing import Any

import yaml

from dashboards.board import SOURCE, dashboard
from dashboards.rules import rules
from settings import ApiSettings, StreamSettings

HEAD = "# Made by `python -m dashboards`; change the code there.\n"


def files() -> dict[str, str]:
    """Content of every file by its path."""
    return {
        "grafana/boards/reelstream.json": dashboard(),
        "grafana/provisioning/dashboards/reelstream.yaml": _yaml(_boards()),
        "grafana/provisioning/datasources/prometheus.yaml": _yaml(_sources()),
        "prometheus/prometheus.yaml": _yaml(_prometheus()),
        "prometheus/rules.yaml": _yaml(rules()),
    }


def _prometheus() -> dict[str, Any]:
    api = ApiSettings.model_fields["port"].default
    worker = StreamSettings.model_fields["metrics_port"].default
    return {
        "global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            {
                "job_name": "api",
                "authorization": {"credentials_file": "/run/secrets/metrics_token"},
                "static_configs": [{"targets": [f"api:{api}"]}],
            },
            {
                "job_name": "worker",
                # The name stands for every worker, however many there are.
                "dns_sd_configs": [{"names": ["worker"], "type": "A", "port": worker, "refresh_interval": "5s"}],
            },
        ],
    }


def _sources() -> dict[str, Any]:
    source = {
        "name": "Prometheus",
        "uid": SOURCE.uid,
        "type": SOURCE.type_val,
        "access": "proxy",
        "url": "http://prometheus:9090",
        "isDefault": True,
        "jsonData": {"timeInterval": "5s"},
    }
    return {"apiVersion": 1, "datasources": [source]}


def _boards() -> dict[str, Any]:
    provider = {
        "name": "reelstream",
        "type": "file",
        "allowUiUpdates": False,
        "options": {"path": "/etc/grafana/boards"},
    }
    return {"apiVersion": 1, "providers": [provider]}


def _yaml(content: dict[str, Any]) -> str:
    return HEAD + yaml.safe_dump(content, sort_keys=False, width=1000)
