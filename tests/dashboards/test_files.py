"""What is committed in dashboards/ is what the code makes, and Prometheus and Grafana can read it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from dashboards import files
from dashboards.rules import RULES
from tests.compose.declared import REPOSITORY, mounts, services

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


def test_brackets_of_every_expression_close() -> None:
    board = json.loads(files()["grafana/boards/reelstream.json"])
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    for expression in [*queries, *(rule.when for rule in RULES)]:
        bare = re.sub(r'"[^"]*"', "", expression)
        for opening, closing in ("()", "{}", "[]"):
            assert bare.count(opening) == bare.count(closing), expression


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
