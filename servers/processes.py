"""Our own processes: the Feast server, the stream workers, the archiver and the API."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
from pydantic import BaseModel, SecretStr

from servers.component import Component, Launch, NotYet, Port
from servers.http_probe import expect_ok, told_by
from servers.paths import REPOSITORY
from settings import Settings

WORKER = "worker-"
ARCHIVER = "archiver"
SILENT_S = 90.0
"""Seconds for which the archiver may say nothing: it says how it is after each file."""


def feast(settings: Settings) -> Component:
    """The Feast server as a component of the system."""
    port = Port(settings.feast.port, "feast.port")
    return _component(settings, "feast", ["stores.feast.feature_server"], port=port, path="/health")


def api(settings: Settings) -> Component:
    """The API as a component of the system."""
    port = Port(settings.api.port, "api.port")
    component = _component(settings, "api", ["api"], port=port, path="/health/live")
    token = settings.api.token.get_secret_value()
    return replace(component, trouble=lambda: _stopped(port.number, "/health/ready", token))


def archiver(settings: Settings) -> Component:
    """The archiver as a component of the system; it listens on no port, and says in a file how it is."""
    launch = Launch([sys.executable, "-m", "stream.archive"], _environment(settings), REPOSITORY)
    return Component(
        name=ARCHIVER,
        ports=(),
        launch=lambda: launch,
        probe=lambda: _require_archiver(settings),
        waits_for=lambda: str(_archiver_status(settings)["waits_for"]),
        trouble=lambda: str(_archiver_status(settings)["stopped"]),
    )


def _require_archiver(settings: Settings) -> None:
    _archiver_status(settings)


def _archiver_status(settings: Settings) -> dict[str, object]:
    """Report of the archiver that is running.

    Raises:
        NotYet: if none is, or if it has said nothing for a while.
    """
    try:
        status: dict[str, object] = json.loads(settings.archiver_status.read_text())
    except (OSError, ValueError) as error:
        raise NotYet("it has not said how it is") from error
    if not psutil.pid_exists(int(str(status["pid"]))):
        raise NotYet("it has not said how it is")
    silent_s = time.time() - float(str(status["at"]))
    if silent_s > SILENT_S:
        raise NotYet(f"it has said nothing for {silent_s:.0f} s")
    return status


def worker(settings: Settings, index: int) -> Component:
    """The stream worker of this index, from 0, as a component of the system."""
    port = Port(settings.stream.metrics_port + index, "stream.metrics_port")
    component = _component(settings, f"{WORKER}{index}", ["stream", "--index", str(index)], port=port, path="/health")
    return replace(
        component,
        waits_for=lambda: expect_ok(port.number, "/health").json()["waits_for"] or "",
        trouble=lambda: _stopped(port.number, "/health"),
        survived=lambda: _survived(port.number, "/health"),
    )


def _survived(port: int, path: str) -> str:
    """The failures that a worker survived recently."""
    troubles = told_by(port, path).get("troubles") or {}
    return "; ".join(f"{kind}: {message}" for kind, message in troubles.items())


def _stopped(port: int, path: str, token: str = "") -> str:
    """The partitions that a component says are stopped: the reason of the first, and the numbers of the others."""
    stopped = told_by(port, path, token).get("stopped") or {}
    reasons = [f"stopped: {why}" for _, why in list(stopped.items())[:1]]
    others = ", ".join(list(stopped)[1:])
    return "; ".join([*reasons, f"also stopped: partitions {others}"] if others else reasons)


def _component(settings: Settings, name: str, module: list[str], *, port: Port, path: str) -> Component:
    return Component(
        name=name,
        ports=(port,),
        launch=lambda: Launch([sys.executable, "-m", *module], _environment(settings), REPOSITORY),
        probe=lambda: _probe(port.number, path),
    )


def _probe(port: int, path: str) -> None:
    expect_ok(port, path)


def _environment(settings: Settings) -> dict[str, str]:
    """The caller's environment, and every setting in force, wherever it came from.

    Paths are absolute, because these processes run in another folder than the caller.
    """
    variables = {**os.environ, **dict(_variables(settings)), "PYTHONUNBUFFERED": "1"}
    # Feast sets these where it is imported, to a folder that is gone when the caller ends.
    for name in ("PROMETHEUS_MULTIPROC_DIR", "PROMETHEUS_MULTIPROCESS_DIR"):
        variables.pop(name, None)
    variables["REELSTREAM_STATE_DIR"] = str(settings.state)
    variables["REELSTREAM_TRITON__REPOSITORY"] = str(settings.model_repository)
    variables["REELSTREAM_FEAST__REGISTRY"] = str(settings.feast_registry)
    variables["REELSTREAM_DATA__DATASET"] = settings.dataset
    variables["REELSTREAM_DATA__FOLDER"] = str(settings.data_folder)
    for name in ("REELSTREAM_CONFIG", "REELSTREAM_CACHE", "ML1M_DIR"):
        if os.environ.get(name):
            variables[name] = str(Path(os.environ[name]).expanduser().resolve())
    return variables


def _variables(section: BaseModel, prefix: str = "REELSTREAM_") -> Iterator[tuple[str, str]]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _variables(value, f"{prefix}{name.upper()}__")
        elif isinstance(value, SecretStr):
            yield prefix + name.upper(), value.get_secret_value()
        else:
            yield prefix + name.upper(), str(value)
