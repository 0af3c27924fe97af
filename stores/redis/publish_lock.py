"""The lock under which one `publish`, rollback or reset at a time changes what is live.

It is a key in Redis that expires unless its holder renews it, so that it is held across processes and machines, and a
holder that dies is out of the way after `publish.lock_s`. Holding it is not enough to change the live run: a holder
that was suspended for longer may no longer have it. So the switch checks the lock and the run that was live, in one
script (`Published.switch`), and what a publish writes into Elasticsearch and the model repository has a version
number that no other publish is given (`Published.new_version`).
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import cast

from stores.errors import LockLost, LockTaken, Unreachable
from stores.redis.connection import Client, reachable

LOCK = "reelstream:publishing"

RENEWALS = 10
"""Renewals in the time after which the lock expires."""

LONGEST_PAUSE_S = 2.0
"""Longest pause between two renewals: a holder that lives is known to within this time."""

LOOK_S = 0.1

RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


class PublishLock:
    """The lock, as a context manager; a thread renews it.

    Args:
        client: Redis.
        lock_s: seconds after which it is free where its holder has died.
        holder: the operation, for the messages of those who find it taken.
        waiting: called with the holder's description while it is not known whether that one lives.

    Attributes:
        value: the stored value; no other holder ever has the same.
    """

    def __init__(
        self, client: Client, lock_s: float, holder: str, waiting: Callable[[str], None] = lambda holder: None
    ) -> None:
        self._client, self._lock_ms, self._waiting = client, int(1000 * lock_s), waiting
        self._pause_s = min(lock_s / RENEWALS, LONGEST_PAUSE_S)
        self.value = json.dumps(
            {
                "holder": holder,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
                "id": uuid.uuid4().hex,
            }
        ).encode()
        self._stopping = threading.Event()
        self._lost = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name="publish lock", daemon=True)

    def __enter__(self) -> PublishLock:
        """Take the lock; one whose holder has died is waited for.

        Raises:
            LockTaken: if a living holder has it.
            Unreachable: if Redis does not answer.
        """
        previous: bytes | None = None
        left_ms = 0
        while not self._take():
            with reachable():
                holder = cast("bytes | None", self._client.get(LOCK))
                left_now_ms = cast(int, self._client.pttl(LOCK))
            if holder is None:
                continue
            # A dead holder's time only runs out; a renewal, or another holder, is a sign of life.
            if previous is not None and (holder != previous or left_now_ms > left_ms):
                raise LockTaken(_taken(holder, self._lock_ms))
            previous, left_ms = holder, left_now_ms
            self._waiting(_described(holder))
            time.sleep(LOOK_S)
        self._renewer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back; where Redis is down it expires."""
        self._stopping.set()
        self._renewer.join()
        try:
            with reachable():
                self._client.eval(RELEASE, 1, LOCK, self.value)
        except Unreachable:
            if error is None:
                return

    def check(self) -> None:
        """Renew the lock now, before something that only its holder may do.

        Raises:
            LockLost: if another may have it.
            Unreachable: if Redis does not answer.
        """
        if self._lost.is_set() or not self._extend():
            raise self.lost()

    def lost(self) -> LockLost:
        """The error of a holder that no longer has the lock."""
        return LockLost(
            f"this publish lost its lock (it stood still for more than {self._lock_ms / 1000:.0f} s, or Redis lost "
            "writes); nothing that is live was changed: run it again"
        )

    def _take(self) -> bool:
        with reachable():
            return bool(self._client.set(LOCK, self.value, nx=True, px=self._lock_ms))

    def _extend(self) -> bool:
        with reachable():
            return bool(self._client.eval(RENEW, 1, LOCK, self.value, self._lock_ms))

    def _renew(self) -> None:
        while not self._stopping.wait(self._pause_s):
            try:
                if not self._extend():
                    self._lost.set()
                    return
            except Unreachable:
                continue


def holder_of(client: Client) -> str | None:
    """The operation that holds the lock, described; None where it is free.

    Raises:
        Unreachable: if Redis does not answer.
    """
    with reachable():
        value = cast("bytes | None", client.get(LOCK))
    return None if value is None else _described(value)


def _described(value: bytes) -> str:
    try:
        held = json.loads(value)
        return f"{held['holder']} on {held['host']} (process {held['pid']}, since {held['since']})"
    except (ValueError, KeyError, TypeError):
        return "another publish"


def _taken(value: bytes, lock_ms: int) -> str:
    return (
        f"{_described(value)} is at work; wait until it ends, or stop it: {lock_ms / 1000:.0f} s later the way is free"
    )
