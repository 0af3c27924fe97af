"""The whole system: which parts there are, and bringing them up, down and back."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import psutil

from servers import elasticsearch, kafka, own, redis, room, triton, triton_environment
from servers.errors import NoRoom, NotReady, NotRunning, ServersError, Unsupported
from servers.layout import Layout, cache, locked
from servers.part import Launch, NotYet, Part
from servers.supervision import ALIVE, TRYING, Process, Supervisor
from settings import Settings

MIB = 2**20
WORKERS = "workers"
STORES = ("kafka", "elasticsearch", "redis", "triton")
PARTS: Mapping[str, Callable[[Settings], Part]] = {
    "kafka": kafka.part,
    "elasticsearch": elasticsearch.part,
    "redis": redis.part,
    "triton": triton.part,
    "feast": own.feast,
    "api": own.api,
}
INSTALL: Mapping[str, Callable[[], None]] = {
    "kafka": kafka.install,
    "elasticsearch": elasticsearch.install,
    "triton": triton_environment.install,
}
POLL_S = 0.1
DEATHS = 3

Progress = Callable[[str, str], None]
"""Called with the name of a part and what has just become of it."""


@dataclass(frozen=True)
class PartStatus:
    """A part as it is now. `state` is the supervisor's word for its process; memory is that of all its processes."""

    name: str
    state: str
    healthy: bool
    port: int
    pid: int | None
    memory_mb: float
    uptime_s: float
    detail: str


@dataclass(frozen=True)
class Started:
    """A part that is up: whether it was so before, and the seconds until it answered."""

    name: str
    already_running: bool
    seconds: float


def setup(settings: Settings, *, only: Sequence[str] | None = None, progress: Progress | None = None) -> None:
    """Install what the parts need and is missing: jars, and Triton's environment. Instant where nothing is missing.

    Raises:
        SetupFailed: something could not be had.
        Unsupported: this machine cannot run a part.
    """
    tell = progress or _silent
    for name in _names(settings, None, only):
        if name in INSTALL:
            with _disk(settings), locked(cache() / "lock"):
                INSTALL[name]()
            tell(name, "installed")


def up(
    settings: Settings,
    *,
    workers: int | None = None,
    only: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> list[Started]:
    """Start what is not running and wait until every part has answered a real request.

    Args:
        workers: stream workers to run; None: as the settings say, or as many as are running.
        only: names of parts (`workers` for all stream workers); None: all.

    Raises:
        ServersError: with one sentence that says what is wrong and what to do.
    """
    tell = progress or _silent
    names = _names(settings, workers, only)
    parts = {name: _part(settings, name) for name in names}
    setup(settings, only=names)
    with _at_work(settings) as supervisor:
        running = _alive(supervisor)
        missing = [name for name in names if name not in running]
        if missing:
            if not running:
                supervisor.sweep()
            room.require_room(settings)
            others = [_part(settings, name) for name in running if name in names]
            room.require_ports([parts[name] for name in missing], others)
        if workers is not None and only is None:
            supervisor.stop(_surplus(running, workers))
        for name in names:
            tell(name, "starting" if name in missing else "already running")
        _start(settings, supervisor, [parts[name] for name in missing])
        return _wait_ready(settings, supervisor, parts, frozenset(missing), tell)


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
    """Start parts by name (`workers` for all stream workers) and wait until they are ready."""
    return up(settings, only=names, progress=progress)


def stop(settings: Settings, names: Sequence[str]) -> list[str]:
    """Stop parts by name (`workers` for all stream workers); they stay so until started. Returns what was running."""
    if not settings.state.is_dir():
        return []
    with _at_work(settings) as supervisor:
        running = _alive(supervisor)
        wanted = {name for name in running if name in names or (WORKERS in names and name.startswith(own.WORKER))}
        _stop(settings, supervisor, wanted, _silent)
        return sorted(wanted)


def restart(settings: Settings, names: Sequence[str], *, progress: Progress | None = None) -> list[Started]:
    """Stop parts and start the same again, with the settings as they are now.

    Raises:
        NotRunning: none of them is running.
    """
    stopped = stop(settings, names)
    if not stopped:
        raise NotRunning(f"{', '.join(names)} is not running; start it with `reelstream up`")
    return start(settings, stopped, progress=progress)


def pid(settings: Settings, name: str) -> int:
    """The process id of a part.

    Raises:
        NotRunning: it is not running.
    """
    process = _supervisor(settings).processes().get(name)
    if process is None or process.pid is None:
        raise NotRunning(f"{name} is not running in {settings.state}; start it with `reelstream up`")
    return process.pid


def status(settings: Settings) -> list[PartStatus]:
    """Every part as it is now, each asked with a real request."""
    processes = _supervisor(settings).processes()
    parts = []
    for name in sorted({*_names(settings, None, None), *processes}, key=_order):
        try:
            parts.append(_part(settings, name))
        except Unsupported:
            continue
    with ThreadPoolExecutor(len(parts)) as threads:
        return list(threads.map(lambda part: _status(part, processes.get(part.name)), parts))


def _status(part: Part, process: Process | None) -> PartStatus:
    detail, healthy = "", False
    if process is None or process.state not in TRYING:
        detail = process.error if process else ""
    else:
        try:
            part.probe()
            healthy = process.state in ALIVE
        except NotYet as error:
            detail = str(error)
    number = process.pid if process else None
    return PartStatus(
        name=part.name,
        state=process.state.lower() if process else "stopped",
        healthy=healthy,
        port=part.ports[0].number,
        pid=number,
        memory_mb=_memory_mb(number) if number else 0.0,
        uptime_s=process.uptime_s if process else 0.0,
        detail=detail,
    )


def _memory_mb(number: int) -> float:
    total = 0
    try:
        process = psutil.Process(number)
        for each in (process, *process.children(recursive=True)):
            total += each.memory_info().rss
    except psutil.Error:
        pass
    return round(total / MIB, 1)


def _silent(_name: str, _what: str) -> None:
    return None


def _names(settings: Settings, workers: int | None, only: Sequence[str] | None) -> list[str]:
    count = workers or settings.stream.workers
    numbered = [f"{own.WORKER}{index}" for index in range(count)]
    if only is None:
        return sorted([*PARTS, *numbered], key=_order)
    chosen = set()
    for name in only:
        chosen.update(numbered if name == WORKERS else [name])
    for name in chosen:
        if name not in PARTS and not name.removeprefix(own.WORKER).isdigit():
            raise ServersError(f"there is no part {name}; the parts are {', '.join(PARTS)} and {WORKERS}")
    return sorted(chosen, key=_order)


def _order(name: str) -> tuple[int, int]:
    if name.startswith(own.WORKER):
        return len(STORES) + 1, int(name.removeprefix(own.WORKER))
    index = list(PARTS).index(name)
    return (index, 0) if index <= len(STORES) else (index + 1, 0)


def _part(settings: Settings, name: str) -> Part:
    if name.startswith(own.WORKER):
        return own.worker(settings, int(name.removeprefix(own.WORKER)))
    return PARTS[name](settings)


def _supervisor(settings: Settings) -> Supervisor:
    return Supervisor(Layout(settings.state), settings.servers.stop_timeout_s)


@contextmanager
def _at_work(settings: Settings) -> Iterator[Supervisor]:
    """The supervisor, with every other `up`, `down`, `stop` of this state folder waiting."""
    layout = Layout(settings.state)
    with _disk(settings):
        layout.make()
        with locked(layout.supervisor / "lock"):
            yield _supervisor(settings)


@contextmanager
def _disk(settings: Settings) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise NoRoom(
                f"the disk of {settings.state} is full; free some or set REELSTREAM_STATE_DIR to another"
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise NoRoom(
                f"{error.filename} cannot be written; set REELSTREAM_STATE_DIR to a folder of yours"
            ) from error
        raise


def _alive(supervisor: Supervisor) -> list[str]:
    return [name for name, process in supervisor.processes().items() if process.state in ALIVE]


def _surplus(running: Iterable[str], workers: int) -> list[str]:
    return [name for name in running if name.startswith(own.WORKER) and _order(name)[1] >= workers]


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


def _start(settings: Settings, supervisor: Supervisor, parts: Sequence[Part]) -> None:
    layout = Layout(settings.state)
    for part in parts:
        _write_launch(layout.launch(part.name), part.launch())
    supervisor.ensure(part.name for part in parts)
    for part in parts:
        supervisor.start(part.name)


def _write_launch(file: Path, launch: Launch) -> None:
    common = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ", "TMPDIR") if name in os.environ}
    content = {**dataclasses.asdict(launch), "environment": {**common, **launch.environment}}
    file.touch(mode=0o600)
    file.write_text(json.dumps(content, default=str, indent=1))


def _wait_ready(
    settings: Settings, supervisor: Supervisor, parts: Mapping[str, Part], missing: frozenset[str], tell: Progress
) -> list[Started]:
    began, over = time.monotonic(), Event()
    started: dict[str, Started] = {}
    starts: dict[str, set[int]] = {name: set() for name in parts}
    with ThreadPoolExecutor(len(parts)) as threads:
        waiting = {threads.submit(_until_ready, part, over): name for name, part in parts.items()}
        try:
            while waiting:
                done, _ = wait(waiting, timeout=POLL_S, return_when="FIRST_COMPLETED")
                for future in done:
                    name = waiting.pop(future)
                    future.result()
                    started[name] = Started(name, name not in missing, round(time.monotonic() - began, 2))
                    tell(name, f"ready after {started[name].seconds:.1f} s")
                processes = supervisor.processes()
                for name in waiting.values():
                    starts[name].add(processes[name].started)
                    if processes[name].state == "FATAL" or len(starts[name]) > DEATHS:
                        raise _not_ready(settings, name, "stops as soon as it is started")
                if waiting and time.monotonic() - began > settings.servers.ready_timeout_s:
                    limit = settings.servers.ready_timeout_s
                    raise _not_ready(settings, next(iter(waiting.values())), f"is not ready after {limit:.0f} s")
        finally:
            over.set()
    return [started[name] for name in parts]


def _until_ready(part: Part, over: Event) -> None:
    while not over.is_set():
        try:
            part.probe()
        except NotYet:
            over.wait(POLL_S)
        else:
            return


def _not_ready(settings: Settings, name: str, what: str) -> NotReady:
    log = Layout(settings.state).log(name)
    lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
    last = f"its last line is: {lines[-1].strip()}" if lines else "it is empty"
    return NotReady(f"{name} {what}; see {log}, {last}")
