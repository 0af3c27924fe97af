"""The faults. Each is called in the middle of a replay and returns once it is over; what it broke is whole again, or
is being restarted by the supervisor."""

from __future__ import annotations

import errno
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

import psutil
import pytest
from kafka.errors import MessageSizeTooLargeError

import servers
from bench.attacker import KINDS
from bench.attacks import attack
from features.dataset.part import MAX_SECONDS
from stores import Published, connect, producer
from tests.faults.malformed import malformed
from tests.faults.publishing import copy_of, places, require_whole, standing
from tests.movielens import encode
from tests.poison import COMPRESSIONS, FEATURE_LOG, HEADERS, MIB, send_raw
from tests.processes import kill
from tests.system.conftest import System

ATTACK_S = 8.0

Break = Callable[[System, random.Random], None]


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        name: what breaks.
        happen: breaks it.
        of_store: whether it is a store's, so that no request may fail meanwhile.
        caught_up_within_s: longest time to catch up afterwards, in seconds; 0 where the stream may not even be more
            than a second behind while it happens.
        replayer_dies: whether it is the replayer that is killed; it is started again.
        share: of the suite's events a second, at which this fault's replay goes.
    """

    name: str
    happen: Break
    of_store: bool = True
    caught_up_within_s: float = 30.0
    replayer_dies: bool = False
    share: float = 1.0


def killed(part: str) -> Break:
    """SIGKILL to a part."""

    def happen(system: System, _: random.Random) -> None:
        kill(system.settings, part)

    return happen


def paused(part: str, seconds: float) -> Break:
    """SIGSTOP to a part and all its processes, SIGCONT some seconds later."""

    def happen(system: System, _: random.Random) -> None:
        process = psutil.Process(servers.pid(system.settings, part))
        family = [process, *process.children(recursive=True)]
        for each in family:
            each.suspend()
        time.sleep(seconds)
        for each in family:
            each.resume()

    return happen


def stubs_killed(system: System, _: random.Random) -> None:
    """SIGKILL to the processes in which Triton runs the models."""
    for child in psutil.Process(servers.pid(system.settings, "triton")).children(recursive=True):
        child.kill()


def workers_change(system: System, _: random.Random) -> None:
    """One worker, then two, then three, then one."""
    for workers in (2, 3, 1):
        servers.up(system.settings, workers=workers)


def workers_roll(system: System, _: random.Random) -> None:
    """Each of two workers restarted in turn."""
    servers.up(system.settings, workers=2)
    for name in ("worker-0", "worker-1"):
        servers.restart(system.settings, [name])
    servers.up(system.settings, workers=1)


def redis_full(system: System, _: random.Random) -> None:
    """Redis takes no more writes for some seconds."""
    client = connect(system.settings.redis)
    limit = client.config_get("maxmemory")["maxmemory"]
    client.config_set("maxmemory", 1)
    time.sleep(4)
    client.config_set("maxmemory", limit)


def redis_slow(system: System, _: random.Random) -> None:
    """Redis answers nobody for some seconds, longer than a command may take."""
    connect(system.settings.redis).execute_command("CLIENT", "PAUSE", 3000, "ALL")
    time.sleep(3)


def disk_full(system: System, _: random.Random) -> None:
    """The disk of the state folder, with the log, the state and all logs on it, is full for some seconds."""
    filler = system.settings.state / "filler"
    with filler.open("wb") as file:
        try:
            while True:
                file.write(bytes(1 << 20))
                file.flush()
        except OSError as error:
            assert error.errno == errno.ENOSPC
            time.sleep(8)
    filler.unlink()
    # What ended for want of room is started again now, with its tries counted anew.
    servers.up(system.settings)


def clock_back(system: System, rng: random.Random) -> None:
    """A device whose clock went back ten years, to the beginning of time, and on to its end."""
    some = rng.sample(system.events, 300)
    times = (lambda ts: ts - 10 * 365 * 86_400, lambda ts: ts % 1_000, lambda ts: MAX_SECONDS)
    system.send_events([replace(event, ts=max(0, times[n % 3](event.ts))) for n, event in enumerate(some)])


def nothing(system: System, _: random.Random) -> None:
    """Do nothing to a component: the replayer itself is killed."""


def poisoned(system: System, rng: random.Random) -> None:
    """10,000 events that nobody can understand, 500 a second, and one that the log refuses."""
    client = producer(system.settings.kafka, max_request_size=20 << 20)
    with pytest.raises(MessageSizeTooLargeError):
        client.send(system.settings.kafka.topic, key=b"1", value=bytes(10 << 20)).get(timeout=30)
    client.close()
    partitions = system.settings.kafka.partitions
    with closing(producer(system.settings.kafka, linger_ms=50)) as client:
        began = time.monotonic()
        for batch in range(100):
            chosen = rng.choices(system.events, k=100)
            bad = [malformed(event, system.partition(event.userid), partitions, rng) for event in chosen]
            system.send(bad, client)
            time.sleep(max(0.0, began + (batch + 1) / 5 - time.monotonic()))


def publish_killed(system: System, _: random.Random) -> None:
    """A publish killed at each of its steps, and run again each time; the runs that were live stay whole."""
    published = Published(system.profiles.client)
    with short_lock():
        for number, (step, share) in enumerate(places(reset=False)):
            live = published.run()
            assert live is not None
            # A run that was live before has an index, which publishing does not fill again.
            name = copy_of(system.settings, f"200003{number + 1:02}T000000Z-new")
            with standing(name, step, share):
                pass
            now, previous = published.run(), published.previous_run()
            assert now is not None and live in (now, previous)
            require_whole(system.settings, *([now] if previous is None else [now, previous]))
            publish_all([name], 1)


def two_publishes(system: System, _: random.Random) -> None:
    """Two publishes at once, three times; one goes live or both do in turn, and the way back stays open."""
    published = Published(system.profiles.client)
    with short_lock():
        for number in range(3):
            names = [copy_of(system.settings, f"2000040{number}T000000Z-{name}") for name in "ab"]
            publish_all(names, 1)
            now, previous = published.run(), published.previous_run()
            assert now is not None and now.run in names and previous is not None
            require_whole(system.settings, now, previous)


def publish_all(names: Sequence[str], at_least: int) -> None:
    """Publish runs, all at once; so many of them must go live, and the others be refused in one line."""
    commands = [[sys.executable, "-m", "cli", "publish", name, "--force"] for name in names]
    running = [
        subprocess.Popen(each, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for each in commands
    ]
    try:
        errors = [process.communicate(timeout=180)[1] for process in running]
    finally:
        for process in running:
            process.kill()
    assert sum(process.returncode == 0 for process in running) >= at_least, errors
    assert all(process.returncode == 0 or "is at work" in error for process, error in zip(running, errors, strict=True))


@contextmanager
def short_lock() -> Iterator[None]:
    """A lock of publishing that is soon free after its holder has died."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REELSTREAM_PUBLISH__LOCK_S", "2")
        yield


def slow_clients(system: System, _: random.Random) -> None:
    """Hundreds of clients that send half a request or read no answer, with 240 KB of `exclude` and positions that the
    log has not assigned; liveness answers all the while."""
    with ThreadPoolExecutor(len(KINDS)) as threads:
        attacking = [threads.submit(attack, system.settings, kind, ATTACK_S) for kind in KINDS]
        while not all(each.done() for each in attacking):
            assert system.get("/health/live").status_code == 200
            time.sleep(0.1)
        assert all(each.result() for each in attacking)


def poison(system: System, rng: random.Random) -> None:
    """Records that broke a reader once, in every topic, and ratings from the future."""
    kafka = system.settings.kafka

    def rated() -> tuple[int, bytes, bytes]:
        event = rng.choice(system.events)
        return system.partition(event.userid), *encode(event)

    for headers in HEADERS.values():
        send_raw(kafka, kafka.topic, *rated(), headers)
    for compression in COMPRESSIONS:
        send_raw(kafka, kafka.topic, *rated(), compression=compression)
    for mib in (2, 12):
        partition, key, _ = rated()
        send_raw(kafka, kafka.topic, partition, key, bytes(mib * MIB), compression="gzip")
        send_raw(kafka, kafka.topic, partition, bytes(mib * MIB), b"", compression="gzip")
        send_raw(kafka, kafka.topic, partition, key, b"", [("large", bytes(mib * MIB))], compression="gzip")
    for value in FEATURE_LOG:
        send_raw(kafka, kafka.features_topic, 0, b"0", value)
        send_raw(kafka, kafka.alarms_topic, 0, b"0", value)
    now = int(time.time())
    future = [replace(event, ts=ts) for event in rng.sample(system.events, 50) for ts in (now + 90_000, MAX_SECONDS)]
    system.send_events(future)


FAULTS = [
    Fault("worker killed", killed("worker-0"), caught_up_within_s=15.0),
    Fault("worker stopped for 15 s", paused("worker-0", 15.0), caught_up_within_s=15.0),
    Fault("workers 1, 2, 3, 1", workers_change),
    Fault("workers restarted in turn", workers_roll),
    Fault("kafka killed", killed("kafka"), of_store=True),
    Fault("redis killed", killed("redis")),
    Fault("redis full", redis_full),
    Fault("redis slow", redis_slow),
    Fault("elasticsearch killed", killed("elasticsearch")),
    Fault("elasticsearch stopped for 5 s", paused("elasticsearch", 5.0)),
    Fault("triton killed", killed("triton")),
    Fault("triton's models killed", stubs_killed),
    Fault("feast server killed", killed("feast")),
    Fault("10,000 malformed events", poisoned, caught_up_within_s=0.0, share=0.5),
    Fault("event times jump back", clock_back),
    Fault("poison in every topic", poison),
    Fault("replayer killed", nothing, replayer_dies=True),
    Fault("publish killed at each step and rerun", publish_killed),
    Fault("two concurrent publishes", two_publishes),
    Fault("slow clients", slow_clients),
    Fault("disk full", disk_full, of_store=False, caught_up_within_s=60.0),
]
