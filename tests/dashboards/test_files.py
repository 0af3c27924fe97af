"""The files in dashboards/ are those that the code makes, and Prometheus and Grafana can read them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from dashboards import files
from dashboards.rules import RULES
from tests.compose.declared import REPOSITORY, mounts, services
from tests.programs import required_program

FOLDER = REPOSITORY / "dashboards"
DURATION = re.compile(r"^\d+[smh]$")


@pytest.mark.parametrize("name", sorted(files()))
def test_a_file_is_what_the_code_makes(name: str) -> None:
    assert (FOLDER / name).read_text() == files()[name], "run `python -m dashboards` and commit what it writes"


def test_nothing_else_lies_beside_them() -> None:
    found = {str(path.relative_to(FOLDER)) for kind in ("json", "yaml") for path in FOLDER.rglob(f"*.{kind}")}
    assert found == set(files())


def test_a_rule_has_a_name_of_its_own_a_duration_and_a_sentence() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert DURATION.match(rule.lasting), rule.name
        assert rule.severity in ("page", "ticket"), rule.name
        assert rule.says.endswith("."), rule.name


def test_the_labels_that_a_sentence_names_are_kept_by_the_expression() -> None:
    for rule in RULES:
        for label in re.findall(r"\$labels\.(\w+)", rule.says):
            assert re.search(rf"by \([^)]*\b{label}\b[^)]*\)", rule.when), rule.name


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Prometheus' own checker, its errors and warnings alike."""
    program = required_program("promtool", "the alert rules", "prometheus")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_prometheus_accepts_the_alert_rules() -> None:
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", str(FOLDER / "prometheus" / "rules.yaml"))
    assert checked.returncode == 0, checked.stderr
    assert f"{len(RULES)} rules found" in checked.stdout


def test_prometheus_accepts_every_query_of_the_dashboard(tmp_path: Path) -> None:
    board = json.loads(files()["grafana/boards/reelstream.json"])
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    # Grafana puts in the interval.
    rules = [
        {"record": f"query_{number}", "expr": query.replace("$__rate_interval", "1m")}
        for number, query in enumerate(queries)
    ]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    checked = promtool("check", "rules", str(file))
    assert checked.returncode == 0, checked.stderr
    assert f"{len(queries)} rules found" in checked.stdout


def test_prometheus_refuses_an_expression_that_it_cannot_read(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text((FOLDER / "prometheus" / "rules.yaml").read_text().replace("sum(", "sum((", 1))
    checked = promtool("check", "rules", str(file))
    assert checked.returncode != 0
    assert "unclosed left parenthesis" in checked.stderr


def test_prometheus_accepts_its_configuration() -> None:
    checked = promtool("check", "config", "--syntax-only", str(FOLDER / "prometheus" / "prometheus.yaml"))
    assert checked.returncode == 0, checked.stderr


def test_the_containers_find_their_files() -> None:
    prometheus = yaml.safe_load(files()["prometheus/prometheus.yaml"])
    given = mounts("prometheus")
    assert f"--config.file={given['./dashboards/prometheus']}/prometheus.yaml" in services()["prometheus"]["command"]
    assert all(f"prometheus/{name}" in files() for name in prometheus["rule_files"])
    provider = yaml.safe_load(files()["grafana/provisioning/dashboards/reelstream.yaml"])["providers"][0]
    assert provider["options"]["path"] == mounts("grafana")["./dashboards/grafana/boards"]
    for source in ("./dashboards/prometheus", "./dashboards/grafana/provisioning", "./dashboards/grafana/boards"):
        assert (REPOSITORY / Path(source)).is_dir()


def test_prometheus_asks_the_services_at_their_ports_and_shows_the_api_its_token() -> None:
    jobs = {job["job_name"]: job for job in yaml.safe_load(files()["prometheus/prometheus.yaml"])["scrape_configs"]}
    (target,) = jobs["api"]["static_configs"][0]["targets"]
    name, port = target.split(":")
    assert services()[name]["ports"][0].endswith(f":{port}")
    (discovery,) = jobs["worker"]["dns_sd_configs"]
    assert discovery["names"] == ["worker"]
    assert discovery["port"] == services()["worker"]["ports"][0]["target"]
    (secret,) = services()["prometheus"]["secrets"]
    assert jobs["api"]["authorization"]["credentials_file"] == f"/run/secrets/{secret}"


def test_the_data_source_is_the_one_that_every_panel_names() -> None:
    source = yaml.safe_load(files()["grafana/provisioning/datasources/prometheus.yaml"])["datasources"][0]
    board = json.loads(files()["grafana/boards/reelstream.json"])
    named = {panel["datasource"]["uid"] for panel in board["panels"] if panel["type"] != "row"}
    assert named == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
