"""AOT caches of the Java servers: the classes that a server loads at each start, loaded and linked beforehand.

Java writes one as a process ends (JEP 514): here after a training run, in which the server starts, answers and stops.
With it, a start takes less than half the processor time. It saves time and does nothing else: Java compares it with the
jars, with its own build and with a checksum, and starts without one that is missing, damaged or of another
installation.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from servers import java, launch
from servers.component import LOOPBACK, Component, NotYet
from servers.errors import NotReady, ServersError
from servers.paths import cache

log = logging.getLogger("reelstream.servers")

QUIET = ("-Xlog:aot*=off", "-Xlog:cds*=off")
"""Against a line about each class that Java cannot keep."""

READY_S, WRITTEN_S = 180.0, 300.0
"""Seconds for the server of a training run to answer, and to end, which is when Java writes the cache."""

POLL_S = 0.1


def cache_file(name: str, jars: Sequence[Path]) -> Path:
    """The cache of a server with these jars, on this Java; Java does without one of other jars, or in other folders.

    Raises:
        OSError: a jar is missing.
    """
    facts = [str(java.JAVA_HOME), (java.JAVA_HOME / "release").read_text()]
    for jar in jars:
        status = jar.stat()
        facts.append(f"{jar} {status.st_size} {int(status.st_mtime)}")
    digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()
    return cache() / f"{name}-{digest[:12]}.aot"


def using(file: Path) -> list[str]:
    """Options by which Java uses a cache, if it is there and sound."""
    return [f"-XX:AOTCache={file}", "-XX:+VerifySharedSpaces", *QUIET]


def create(file: Path, server: Callable[[Path, Sequence[str]], Component], use: Callable[[Component], None]) -> None:
    """Make a cache where it is missing, by a training run of the server.

    A run that fails leaves an empty file, so that it is not repeated at each start.

    Args:
        file: the cache.
        server: the server as a component, given a state folder and options for Java.
        use: requests that the server answers in the training run.
    """
    if file.exists():
        return
    try:
        with tempfile.TemporaryDirectory(prefix=".aot-", dir=file.parent) as work:
            written = Path(work) / "cache"
            try:
                component = server(Path(work) / "state", [f"-XX:AOTCacheOutput={written}", *QUIET])
                _train(component, Path(work), use)
                if not written.exists():
                    raise NotReady("Java did not write it")
            except (ServersError, NotYet, subprocess.SubprocessError) as error:
                _warn(file, error)
            written.touch()
            written.rename(file)
    except OSError as error:
        _warn(file, error)


def free_ports(count: int) -> list[int]:
    """Loopback ports on which nothing listens now."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]


def _train(component: Component, folder: Path, use: Callable[[Component], None]) -> None:
    """Run a server without a supervisor, and end it.

    Raises:
        ServersError, NotYet: it does not answer.
        subprocess.SubprocessError: it does not end.
    """
    file = folder / "launch.json"
    component.launch().write(file)
    environment = {**os.environ, launch.SUPERVISED_IN: str(folder), launch.PART: component.name}
    command = [sys.executable, "-I", launch.__file__, str(file)]
    process = subprocess.Popen(
        command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(process, component)
        use(component)
        process.terminate()
        process.wait(WRITTEN_S)
    finally:
        # With what Java starts to write the cache.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(process: subprocess.Popen[bytes], component: Component) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        try:
            return component.probe()
        except NotYet as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise NotReady(f"{component.name} did not answer in its training run ({error})") from error
        time.sleep(POLL_S)


def _warn(file: Path, error: Exception) -> None:
    log.warning("starts take longer, as the AOT cache %s could not be made (%s)", file, error)
