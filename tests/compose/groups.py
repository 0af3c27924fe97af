"""The services of compose.yaml in groups, and the variables of our own."""

from __future__ import annotations

import os

import pytest

from servers import elasticsearch, kafka, processes, redis, triton
from servers.component import Component
from settings import Settings
from tests.compose.declared import REPOSITORY, environment

OURS = ("feast", "worker", "archiver", "api", "train", "publish", "reelstream")
ONCE = ("train", "publish", "reelstream")
BUILDERS = {"reelstream:0.1.0": "feast", "reelstream-train:0.1.0": "train"}
"""The one service that builds each of our images."""

COMPONENTS = ("kafka", "elasticsearch", "redis", "triton", "feast", "worker", "archiver", "api")
WATCHING = ("prometheus", "grafana")
"""Services that watch the system; without Docker the pages of the API do."""

STAYING = COMPONENTS + WATCHING


def use(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """Have these `REELSTREAM_*` variables and no others, and the repository's reelstream.toml."""
    for name in [name for name in os.environ if name.startswith("REELSTREAM_")]:
        if name != "REELSTREAM_CACHE":
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(REPOSITORY)


def ours(service: str) -> dict[str, str]:
    """The `REELSTREAM_*` variables of a service."""
    return {name: value for name, value in environment(service).items() if name.startswith("REELSTREAM_")}


def components(settings: Settings) -> dict[str, Component]:
    """Components that `reelstream up` starts, by the name of the service that does the same."""
    return {
        "kafka": kafka.component(settings),
        "elasticsearch": elasticsearch.component(settings),
        "redis": redis.component(settings),
        "triton": triton.component(settings),
        "feast": processes.feast(settings),
        "worker": processes.worker(settings, 0),
        "archiver": processes.archiver(settings),
        "api": processes.api(settings),
    }
