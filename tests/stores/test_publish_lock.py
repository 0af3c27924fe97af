"""One publish at a time: the lock, and the switch that only its holder can make."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from settings import Settings
from stores import LiveRun, LockLost, LockTaken, Published, PublishLock
from stores.redis.publish_lock import LOCK, holder_of

HOLD = """
import sys, time
from settings import load
from stores import PublishLock, connect
with PublishLock(connect(load().redis), 3.0, "publish of run first"):
    print("held", flush=True)
    time.sleep(60)
"""


def run(name: str) -> LiveRun:
    return LiveRun(run=name, version=1, index="items-1", dim=3, history=10, quality=0.1)


def holder(settings: Settings) -> subprocess.Popen[str]:
    environment = os.environ | {
        "REELSTREAM_STATE_DIR": str(settings.state),
        "REELSTREAM_REDIS__PORT": str(settings.redis.port),
    }
    process = subprocess.Popen([sys.executable, "-c", HOLD], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGCONT)
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_a_second_publish_is_refused_in_one_line_that_names_the_first(redis: Settings, published: Published) -> None:
    process = holder(redis)
    try:
        with (
            pytest.raises(LockTaken, match=rf"publish of run first on .*process {process.pid}") as refused,
            PublishLock(published.client, 3.0, "publish of run second"),
        ):
            pass
        assert "\n" not in str(refused.value)
    finally:
        stop(process)


def test_the_lock_of_a_publish_that_was_killed_is_free_within_its_time(redis: Settings, published: Published) -> None:
    process = holder(redis)
    stop(process)
    assert "publish of run first" in (holder_of(published.client) or "")
    began = time.monotonic()
    with PublishLock(published.client, 3.0, "publish of run second"):
        assert "publish of run second" in (holder_of(published.client) or "")
    assert time.monotonic() - began < 6.0
    assert holder_of(published.client) is None


def test_a_holder_that_works_for_longer_than_the_lock_lasts_keeps_it(published: Published) -> None:
    with PublishLock(published.client, 1.0, "a long publish") as lock:
        time.sleep(2.5)
        lock.check()
        published.switch(run("a"), b"", None, lock)
    assert published.run() == run("a")


def test_a_holder_that_was_suspended_cannot_switch(published: Published) -> None:
    lock = PublishLock(published.client, 1.0, "suspended")
    with lock:
        # As after a suspension of the whole process: its time is over, and another has come.
        published.client.delete(LOCK)
        with PublishLock(published.client, 5.0, "the next"):
            with pytest.raises(LockLost):
                published.switch(run("a"), b"", None, lock)
            with pytest.raises(LockLost):
                lock.check()
        assert published.run() is None


def test_a_lock_that_was_lost_is_not_taken_from_the_next_holder(published: Published) -> None:
    with PublishLock(published.client, 1.0, "first"):
        published.client.delete(LOCK)
        following = PublishLock(published.client, 5.0, "second")
        following.__enter__()
    assert "second" in (holder_of(published.client) or "")
    following.__exit__(None, None, None)


def test_the_switch_refuses_when_the_live_run_is_not_the_one_that_was_read(published: Published) -> None:
    with PublishLock(published.client, 5.0, "first") as lock:
        _, stored = published.run_to_replace()
        published.switch(run("b"), stored, None, lock)
        with pytest.raises(LockLost, match="changed without the lock"):
            published.switch(run("a"), stored, None, lock)
        assert published.run() == run("b")
        live, stored = published.run_to_replace()
        published.switch(run("c"), stored, live, lock)
    assert published.run() == run("c")
    assert published.previous_run() == run("b")


def test_no_two_publishes_get_one_version(published: Published) -> None:
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(published.new_version(41))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(42, 50))
    assert published.new_version(3) == 50
