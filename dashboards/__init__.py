"""What is watched from outside: a Grafana dashboard, alert rules and Prometheus' configuration, made by code.

`python -m dashboards` writes them to `grafana/` and `prometheus/` in this folder, where compose.yaml takes them from.
"""

from dashboards.files import files

__all__ = ["files"]
