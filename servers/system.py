"""Bringing the system up, down and back."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from servers import elasticsearch, health, kafka, preflight, processes
from servers.component import Component
from servers.components import STORES, WORKERS, chosen, named, order
from servers.errors import LowResources, NotRunning, Unsupported
from servers.health import ComponentStatus
from servers.paths import Layout, cache
from servers.readiness import Progress, Started, wait_ready
from servers.supervisor import ALIVE, Supervisor
from servers.triton import environment as triton_environment
from settings import Settings
from settings.locks import locked

INSTALL: Mapping[str, Callable[[], None]] = {
    "kafka": kafka.install,
    "elasticsearch": elasticsearch.install,
    "triton": triton_environment.install,
}
JAVA = {"kafka": kafka, "elasticsearch": elasticsearch}


def setup(settings: Settings, *, only: Sequence[str] | None = None, progress: Progress | None = None) -> None:
    """Install what the components need and lack: jars, AOT caches, Triton's environment. Instant where all is there.

    Raises:
        SetupFailed: something could not be had.
        Unsupported: this machine cannot run a component.
    """
    tell = progress or _silent
    for name in chosen(settings, None, only):
        if name in INSTALL:
            _install(settings, name, tell)
            tell(name, "installed")


def up(
    settings: Settings,
    *,
    workers: int | None = None,
    only: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> list[Started]:
    """Start what is not running and wait until every component has answered a real request.

    Args:
        workers: stream workers to run; None: as the settings say, and more where more are running.
        only: names of components (`workers` for all stream workers); None: all.

    Raises:
        ServersError: with one sentence that says what is wrong and what to do.
    """
    tell = progress or _silent
    names = chosen(settings, workers, only)
    components = {name: named(settings, name) for name in names}
    for name in names:
        if name in INSTALL:
            _install(settings, name, tell)
    with _at_work(settings) as supervisor:
        running = _alive(supervisor)
        missing = [name for name in names if name not in running]
        if missing:
            if not running:
                supervisor.sweep()
            preflight.require_resources(settings)
            others = [named(settings, name) for name in running if name in names]
            preflight.require_ports([components[name] for name in missing], others)
        if only is None and (unwanted := _unwanted(settings, supervisor.processes(), workers)):
            supervisor.remove(unwanted)
        for name in names:
            tell(name, "starting" if name in missing else "already running")
        _start(settings, supervisor, [components[name] for name in missing])
        return wait_ready(settings, supervisor, components, frozenset(missing), tell)


def down(settings: Settings, *, progress: Progress | None = None) -> list[str]:
    """Stop everything, the API first and the stores last; no process is left. Returns what was running."""
    tell = progress or _silent
    if not settings.state.is_dir():
        return []
    with _at_work(settings) as supervisor:
        running = _alive(supervisor)
        _stop(settings, supervisor, running, tell)
        supervisor.shut_down()
        return running


def start(settings: Settings, names: Sequence[str], *, progress: Progress | None = None) -> list[Started]:
    """Start components by name (`workers` for all stream workers) and wait until they are ready."""
    return up(settings, only=names, progress=progress)


def stop(settings: Settings, names: Sequence[str]) -> list[str]:
    """Stop components by name (`workers` for all stream workers) until they are started. Returns what was running."""
    if not settings.state.is_dir():
        return []
    with _at_work(settings) as supervisor:
        running = _alive(supervisor)
        wanted = {name for name in running if name in names or (WORKERS in names and name.startswith(processes.WORKER))}
        _stop(settings, supervisor, wanted, _silent)
        return sorted(wanted)


def restart(settings: Settings, names: Sequence[str], *, progress: Progress | None = None) -> list[Started]:
    """Stop components and start the same again, with the settings as they are now.

    Raises:
        NotRunning: none of them is running.
    """
    stopped = stop(settings, names)
    if not stopped:
        raise NotRunning(f"{', '.join(names)} is not running; start it with `reelstream up`")
    return start(settings, stopped, progress=progress)


def pid(settings: Settings, name: str) -> int:
    """The process id of a component.

    Raises:
        NotRunning: it is not running.
    """
    process = _supervisor(settings).processes().get(name)
    if process is None or process.pid is None:
        raise NotRunning(f"{name} is not running in {settings.state}; start it with `reelstream up`")
    return process.pid


def pids(settings: Settings) -> dict[str, int]:
    """The process id of each component that is running."""
    return {name: process.pid for name, process in _supervisor(settings).processes().items() if process.pid}


def status(settings: Settings) -> list[ComponentStatus]:
    """Every component as it is now, each asked with a real request."""
    processes = _supervisor(settings).processes()
    asked = []
    for name in sorted({*chosen(settings, None, None), *processes}, key=order):
        try:
            asked.append(named(settings, name))
        except Unsupported:
            continue
    return health.ask(asked, processes, Layout(settings.state))


def _install(settings: Settings, name: str, tell: Progress) -> None:
    """Install what a component lacks, while every other process that would is waiting."""
    with _disk(settings), locked(cache() / "lock"):
        INSTALL[name]()
        if name in JAVA and not JAVA[name].aot_cache().exists():
            tell(name, "preparing faster starts, once on this machine")
            JAVA[name].prepare(settings)


def _silent(_name: str, _what: str) -> None:
    return None


def _supervisor(settings: Settings) -> Supervisor:
    return Supervisor(Layout(settings.state), settings.servers.stop_timeout_s)


@contextmanager
def _at_work(settings: Settings) -> Iterator[Supervisor]:
    """The supervisor, with every other `up`, `down`, `stop` of this state folder waiting."""
    layout = Layout(settings.state)
    try:
        layout.make()
    except OSError as error:
        raise LowResources(
            f"the state folder {settings.state} cannot be created ({error.strerror}); change REELSTREAM_STATE_DIR"
        ) from error
    with _disk(settings), locked(layout.supervisor / "lock"):
        yield _supervisor(settings)


@contextmanager
def _disk(settings: Settings) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise LowResources(
                f"the disk of {settings.state} is full; free some space or set REELSTREAM_STATE_DIR to another"
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise LowResources(
                f"{error.filename} cannot be written; set REELSTREAM_STATE_DIR to a folder that you can write"
            ) from error
        raise


def _alive(supervisor: Supervisor) -> list[str]:
    return [name for name, process in supervisor.processes().items() if process.state in ALIVE]


def _unwanted(settings: Settings, known: Iterable[str], workers: int | None) -> list[str]:
    """Workers beyond the number asked for, and the archiver where it is no longer enabled."""
    return [
        name
        for name in known
        if (name == processes.ARCHIVER and not settings.archive.enabled)
        or (workers is not None and name.startswith(processes.WORKER) and order(name)[1] >= workers)
    ]


def _stop(settings: Settings, supervisor: Supervisor, names: Iterable[str], tell: Progress) -> None:
    waves: dict[int, list[str]] = {}
    for name in names:
        waves.setdefault(0 if name in STORES else 2 if name == "api" else 1, []).append(name)
    for wave in sorted(waves, reverse=True):
        for name in waves[wave]:
            tell(name, "stopping")
        supervisor.stop(waves[wave])
        for name in waves[wave]:
            tell(name, "stopped")


def _start(settings: Settings, supervisor: Supervisor, components: Sequence[Component]) -> None:
    layout = Layout(settings.state)
    for component in components:
        component.launch().write(layout.launch(component.name))
    supervisor.ensure(component.name for component in components)
    for component in components:
        supervisor.start(component.name)
