"""Declarations of compose.yaml and the Dockerfile, read as Docker would."""

from __future__ import annotations

import io
import itertools
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dockerfile_parse import DockerfileParser
from dockerfile_parse.parser import image_from

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


def numbers_of(version: str) -> tuple[int, ...]:
    """The numbers of a version, which may begin with `v` and end with a variant after a hyphen.

    Raises:
        ValueError: if there is anything else.
    """
    return tuple(int(number) for number in version.removeprefix("v").partition("-")[0].split("."))


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
    """Path at which each volume or folder of the host is mounted, by its name."""
    found = {}
    for volume in services()[service].get("volumes", []):
        source, target = (volume["source"], volume["target"]) if isinstance(volume, dict) else volume.split(":")[:2]
        found[source] = target
    return found


@dataclass(frozen=True)
class Instruction:
    """An instruction of the Dockerfile.

    Attributes:
        stage: the stage that it is part of.
        name: of the instruction, in capital letters.
        flags: options that it begins with, such as `from` of COPY.
        words: the rest, split as a shell splits it; a JSON array as its elements.
    """

    stage: str
    name: str
    flags: Mapping[str, str]
    words: Sequence[str]

    @property
    def commands(self) -> list[list[str]]:
        """The commands of a RUN, as their words."""
        found: list[list[str]] = [[]]
        for word in self.words:
            if word in ("&&", "||", ";", "|"):
                found.append([])
            else:
                found[-1].append(word)
        return found


def dockerfile() -> list[Instruction]:
    """The Dockerfile's instructions in order."""
    parser = DockerfileParser(fileobj=io.BytesIO((REPOSITORY / "Dockerfile").read_bytes()))
    stage, found = "", []
    for each in parser.structure:
        name, value = each["instruction"], each["value"]
        if name == "COMMENT":
            continue
        if name == "FROM":
            _, stage = image_from(value)
        words = json.loads(value) if value.startswith("[") else split(value)
        flags = dict(itertools.takewhile(lambda flag: flag[0], map(flag_of, words)))
        found.append(Instruction(stage, name, flags, words[len(flags) :]))
    return found


def split(value: str) -> list[str]:
    """Split as a shell does, with its operators as words of their own."""
    words = shlex.shlex(value, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    return list(words)


def flag_of(word: str) -> tuple[str, str]:
    """Name and value of an option of an instruction; two empty strings for any other word."""
    name, _, value = word.removeprefix("--").partition("=")
    return (name, value) if word.startswith("--") else ("", "")


def parent_of(stage: str) -> str:
    """The image or stage that a stage begins with."""
    return next(each.words[0] for each in dockerfile() if each.name == "FROM" and each.stage == stage)


def stages_of(stage: str) -> list[str]:
    """A stage and those that it is built on."""
    stages = {each.stage for each in dockerfile()}
    found = [stage]
    while parent_of(found[-1]) in stages:
        found.append(parent_of(found[-1]))
    return found


def copied(*stages: str) -> list[Instruction]:
    """The COPY instructions of stages; of all without any."""
    return [each for each in dockerfile() if each.name == "COPY" and (not stages or each.stage in stages)]


def copied_from_here(*stages: str) -> list[str]:
    """Files and folders of the repository that stages copy; all that are copied without any."""
    return [source for each in copied(*stages) if "from" not in each.flags for source in each.words[:-1]]


def commands(*stages: str) -> list[list[str]]:
    """The commands that stages run; all of them without any."""
    runs = [each for each in dockerfile() if each.name == "RUN" and (not stages or each.stage in stages)]
    return [command for each in runs for command in each.commands]
