"""What compose.yaml and the Dockerfile declare, read as Docker would."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
VARIABLE = re.compile(r"\$\{(\w+)([^}]*)\}")

SECRETS = {
    "ELASTIC_PASSWORD": 'p"a\\ss, =$1',
    "REDIS_PASSWORD": "0123456789",
    "API_TOKEN": "7f3c-token",
    "METRICS_TOKEN": "51d0-metrics",
    "GRAFANA_PASSWORD": "gr4fana",
    "ML1M_DIR": "/ratings-of-the-host",
}
"""Values as a .env may hold them."""


def compose(values: Mapping[str, str] = SECRETS) -> dict[str, Any]:
    """compose.yaml with the values of a .env put in."""

    def put_in(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: put_in(value) for key, value in node.items()}
        if isinstance(node, list):
            return [put_in(value) for value in node]
        if isinstance(node, str):
            escaped = [VARIABLE.sub(lambda match: values[match[1]], part) for part in node.split("$$")]
            return "$".join(escaped)
        return node

    made: dict[str, Any] = put_in(yaml.safe_load((REPOSITORY / "compose.yaml").read_text()))
    return made


def services() -> dict[str, dict[str, Any]]:
    """The services by name."""
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def version_of(service: str) -> str:
    """The tag of a service's image."""
    return str(services()[service]["image"].rpartition(":")[2])


def environment(service: str) -> dict[str, str]:
    """A service's environment, as text."""
    return {name: str(value) for name, value in services()[service].get("environment", {}).items()}


def published(service: str) -> list[tuple[str, str, int]]:
    """Address and port (or range) on the host, and port in the container, of each published port."""
    found = []
    for port in services()[service].get("ports", []):
        if isinstance(port, dict):
            found.append((port["host_ip"], str(port["published"]), int(port["target"])))
        else:
            address, host, container = port.split(":")
            found.append((address, host, int(container)))
    return found


def mounts(service: str) -> dict[str, str]:
    """Where each volume or folder of the host is mounted, by its name."""
    found = {}
    for volume in services()[service].get("volumes", []):
        source, target = (volume["source"], volume["target"]) if isinstance(volume, dict) else volume.split(":")[:2]
        found[source] = target
    return found


@dataclass(frozen=True)
class Instruction:
    """An instruction of the Dockerfile, and the stage that it stands in."""

    stage: str
    name: str
    value: str


def dockerfile() -> list[Instruction]:
    """The Dockerfile's instructions in order."""
    text = re.sub(r"^#.*\n", "", (REPOSITORY / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    stage, found = "", []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, value = line.partition(" ")
        if name == "FROM":
            stage = value.split(" AS ")[1]
        found.append(Instruction(stage, name, re.sub(r"\s+", " ", value.strip())))
    return found


def parent_of(stage: str) -> str:
    """The image or stage that a stage begins with."""
    return next(each.value.split()[0] for each in dockerfile() if each.name == "FROM" and each.stage == stage)


def stages_of(stage: str) -> list[str]:
    """A stage and those that it is built on."""
    stages = {each.stage for each in dockerfile()}
    found = [stage]
    while parent_of(found[-1]) in stages:
        found.append(parent_of(found[-1]))
    return found


def copied_from_here(stage: str) -> list[str]:
    """Files and folders of the repository that a stage, with those it is built on, copies."""
    stages = stages_of(stage)
    values = [each.value for each in dockerfile() if each.name == "COPY" and each.stage in stages]
    return [value.split()[0] for value in values if not value.startswith("--from=")]
