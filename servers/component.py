"""A component of the running system: how it is launched, which ports it takes, and what proves it ready."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from servers.errors import Unsupported
from servers.paths import write_private
from settings.local import LOOPBACK_NAMES

LOOPBACK = "127.0.0.1"
PROBE_TIMEOUT_S = 2.0


class NotYet(Exception):
    """A component does not answer as it should; the message says what it did instead."""


@dataclass(frozen=True)
class Port:
    """A port that a component listens on, and the setting that names it."""

    number: int
    setting: str

    @property
    def variable(self) -> str:
        """The environment variable of the setting."""
        return "REELSTREAM_" + self.setting.replace(".", "__").upper()


@dataclass(frozen=True)
class Launch:
    """One process: what to run, where and with which environment.

    `first` is run to its end beforehand as long as the file `first_makes` does not exist. `leftovers` is a pattern of
    files that an earlier run may have left and that are removed beforehand.
    """

    argv: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    first: Sequence[str] = ()
    first_makes: Path | None = None
    leftovers: str = ""

    def write(self, file: Path) -> None:
        """Write the file that `launch.py` reads."""
        common = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ", "TMPDIR") if name in os.environ}
        content = {**dataclasses.asdict(self), "environment": {**common, **self.environment}}
        write_private(file, json.dumps(content, default=str, indent=1))


@dataclass(frozen=True)
class Component:
    """A component of the system.

    `launch` writes the component's configuration and says how to run it. `probe` sends a real request and raises
    `NotYet` where the answer is not that of a component that is ready. `waits_for` asks a component that is ready what
    it is waiting for; empty where it works. `trouble` asks what makes it unhealthy though it answers; empty where
    nothing does. `survived` asks which failures it survived recently.
    """

    name: str
    ports: Sequence[Port]
    launch: Callable[[], Launch]
    probe: Callable[[], None]
    waits_for: Callable[[], str] = str
    trouble: Callable[[], str] = str
    survived: Callable[[], str] = str


def loopback_port(address: str, setting: str) -> int:
    """The port of `host:port`.

    Raises:
        Unsupported: the address is not one on this machine's loopback.
    """
    host, _, port = address.removeprefix("http://").rstrip("/").rpartition(":")
    require_loopback(host, setting)
    if not port.isdigit():
        raise Unsupported(f"setting {setting} is {address}, which has no port; write it as {LOOPBACK}:PORT")
    return int(port)


def require_loopback(host: str, setting: str) -> None:
    """Raises `Unsupported` where `host` is not this machine's loopback."""
    if host not in LOOPBACK_NAMES:
        raise Unsupported(
            f"setting {setting} names {host}, but `reelstream up` starts servers on {LOOPBACK} only; "
            f"set it to {LOOPBACK}, or start the components that you need by name"
        )


def require_listener(port: int) -> None:
    """Raises `NotYet` where nothing listens on a loopback port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=PROBE_TIMEOUT_S).close()
    except OSError as error:
        raise NotYet(f"nothing answers on port {port}") from error
