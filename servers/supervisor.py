"""The process supervisor (supervisord) of one state folder, spoken to over XML-RPC on a unix socket."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
import xmlrpc.client  # nosec B411: what it reads comes from our own supervisor, over a socket of this user alone
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from servers.errors import NotReady, NotRunning
from servers.launch import SUPERVISED_IN
from servers.paths import Layout, private_folder

# Linux allows 108 bytes; the supervisor makes the socket under a longer name first (".PID").
SOCKET_PATH_BYTES = 95
START_S = 10.0
ALIVE = frozenset({"STARTING", "RUNNING"})
TRYING = frozenset({*ALIVE, "BACKOFF"})

CONFIG = """\
[supervisord]
pidfile={pidfile}
logfile={logfile}
logfile_maxbytes=5MB
logfile_backups=1
nodaemon=false
directory={directory}

[unix_http_server]
file={socket}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""

# A component that dies within `startsecs` is started again after 1, 2, 3... seconds, one that ran longer at once.
PROGRAM = """
[program:{name}]
command={command}
autostart=false
autorestart=true
startsecs=5
startretries=20
stopwaitsecs={stop_s}
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
"""


@dataclass(frozen=True)
class Process:
    """A component as the supervisor knows it: its state in the supervisor's words, and seconds since its last start."""

    name: str
    state: str
    pid: int | None
    uptime_s: float
    started: int
    error: str


class Supervisor:
    """The supervisor of one state folder; it may or may not be running."""

    def __init__(self, layout: Layout, stop_timeout_s: float) -> None:
        self._layout = layout
        self._stop_timeout_s = stop_timeout_s
        self._socket = _socket_path(layout)
        self._config = layout.supervisor / "supervisord.conf"
        self._pidfile = layout.supervisor / "supervisord.pid"

    def alive(self) -> bool:
        """Return True if it answers."""
        try:
            with self._rpc() as rpc:
                rpc.supervisor.getState()
        except NotRunning:
            return False
        return True

    def processes(self) -> dict[str, Process]:
        """Return the defined processes by name; none if the supervisor is not running."""
        try:
            with self._rpc() as rpc:
                infos: list[dict[str, Any]] = rpc.supervisor.getAllProcessInfo()
        except NotRunning:
            return {}
        return {
            info["name"]: Process(
                name=info["name"],
                state=info["statename"],
                pid=info["pid"] or None,
                uptime_s=max(0.0, info["now"] - info["start"]) if info["pid"] else 0.0,
                started=info["start"],
                error=info["spawnerr"],
            )
            for info in infos
        }

    def ensure(self, names: Iterable[str]) -> None:
        """Run the supervisor with these components defined besides those that it has; nothing is started."""
        known = self.processes()
        wanted = sorted({*known, *names})
        self._write_config(wanted)
        if not self.alive():
            self._start()
        with self._rpc() as rpc:
            rpc.supervisor.reloadConfig()
            for name in wanted:
                if name not in known:
                    with _tolerate(Faults.ALREADY_ADDED):
                        rpc.supervisor.addProcessGroup(name)

    def start(self, name: str) -> None:
        """Start a component, with its retries counted again."""
        if self.processes()[name].state not in ALIVE:
            self.stop([name])
            with self._rpc() as rpc, _tolerate(Faults.ALREADY_STARTED):
                rpc.supervisor.startProcess(name, False)

    def stop(self, names: Iterable[str]) -> None:
        """Stop components, all at once, and wait until they are gone.

        Raises:
            NotReady: a component is still there after the time that it gets to stop, and the time to kill it.
        """
        pending = set(names)
        with self._rpc() as rpc:
            for name in pending:
                with _tolerate(Faults.NOT_RUNNING):
                    rpc.supervisor.stopProcess(name, False)
        deadline = time.monotonic() + self._stop_timeout_s + START_S
        while pending:
            known = self.processes()
            pending = {name for name in pending if name in known and known[name].state in {*TRYING, "STOPPING"}}
            if pending and time.monotonic() > deadline:
                raise NotReady(f"{', '.join(sorted(pending))} cannot be stopped; kill its processes by hand")
            if pending:
                time.sleep(0.05)

    def remove(self, names: Iterable[str]) -> None:
        """Stop components and forget them, so that nobody misses them.

        Raises:
            NotReady: as in `stop`.
        """
        names = list(names)
        self.stop(names)
        with self._rpc() as rpc:
            for name in names:
                with _tolerate(Faults.BAD_NAME):
                    rpc.supervisor.removeProcessGroup(name)

    def shut_down(self) -> None:
        """End the supervisor and whatever of its components is left, also where the supervisor itself has died."""
        with contextlib.suppress(NotRunning), self._rpc() as rpc:
            rpc.supervisor.shutdown()
        deadline = time.monotonic() + self._stop_timeout_s + START_S
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.sweep()
        self._socket.unlink(missing_ok=True)
        self._pidfile.unlink(missing_ok=True)

    def sweep(self) -> None:
        """End every process that this state folder's supervisor, now or earlier, has left behind."""
        left = list(self._own())
        _, left = psutil.wait_procs(left, timeout=1.0)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        _, left = psutil.wait_procs(left, timeout=self._stop_timeout_s)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=START_S)

    def _own(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(SUPERVISED_IN) == str(self._layout.state) and process.pid != os.getpid():
                    yield process

    def _write_config(self, names: Iterable[str]) -> None:
        text = CONFIG.format(
            pidfile=_escaped(self._pidfile),
            logfile=_escaped(self._layout.log("supervisor")),
            directory=_escaped(self._layout.state),
            socket=_escaped(self._socket),
        )
        launch = Path(__file__).with_name("launch.py")
        for name in names:
            command = shlex.join([sys.executable, "-I", str(launch), str(self._layout.launch(name))])
            text += PROGRAM.format(
                name=name,
                command=_escaped(command),
                stop_s=max(1, round(self._stop_timeout_s)),
                log=_escaped(self._layout.log(name)),
            )
        self._config.write_text(text)

    def _start(self) -> None:
        # A supervisor that was killed leaves its socket and process id behind, and perhaps its components.
        self.sweep()
        self._socket.unlink(missing_ok=True)
        self._pidfile.unlink(missing_ok=True)
        environment = {**os.environ, SUPERVISED_IN: str(self._layout.state)}
        command = [sys.executable, "-m", "compat.supervisor", "-c", str(self._config)]
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        deadline = time.monotonic() + START_S
        while done.returncode == 0 and time.monotonic() < deadline:
            if self.alive():
                return
            time.sleep(0.02)
        last = (done.stderr.strip().splitlines() or ["it does not answer"])[-1]
        raise NotReady(f"the supervisor does not start ({last}); see {self._layout.log('supervisor')}")

    @contextlib.contextmanager
    def _rpc(self) -> Iterator[Any]:
        transport = SupervisorTransport(None, None, serverurl=f"unix://{self._socket}")
        try:
            yield xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
        except (OSError, xmlrpc.client.ProtocolError) as error:
            raise NotRunning(
                f"no servers are running in {self._layout.state}; start them with `reelstream up`"
            ) from error
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == Faults.SHUTDOWN_STATE:
                raise NotRunning(f"the servers in {self._layout.state} are stopping; try again in a moment") from fault
            raise NotReady(
                f"the supervisor refuses ({fault.faultString}); see {self._layout.log('supervisor')}"
            ) from fault
        finally:
            transport.close()


@contextlib.contextmanager
def _tolerate(code: int) -> Iterator[None]:
    try:
        yield
    except xmlrpc.client.Fault as fault:
        if fault.faultCode != code:
            raise


def _socket_path(layout: Layout) -> Path:
    """In the state folder, or in this user's temporary folder where that path is too long for a socket."""
    path = layout.supervisor / "supervisor.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES:
        return path
    folder = Path(tempfile.gettempdir()) / f"reelstream-{os.getuid()}"
    private_folder(folder)
    return folder / (hashlib.sha256(os.fsencode(layout.state)).hexdigest()[:16] + ".sock")


def _escaped(value: object) -> str:
    """The supervisor's configuration expands `%`."""
    return str(value).replace("%", "%%")
