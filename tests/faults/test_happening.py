"""A fault that fails or never ends is reported, and the process that runs it ends."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from tests.faults.happening import Happening

ENDLESS = """
import threading, time
from settings import RedisSettings
from stores import Profiles, connect
from tests.faults.happening import Happening
from tests.faults.watch import Watch

no_redis = Profiles(connect(RedisSettings(port=1)), "ratings", 1)
fault = Happening(threading.Event().wait)
with Watch(no_redis, events=1, rate=1.0) as watch:
    watch.start(time.monotonic())
    fault.begin()
    fault.wait(0.1)
"""


def test_a_process_ends_although_its_fault_never_does() -> None:
    done = subprocess.run([sys.executable, "-c", ENDLESS], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("AssertionError: the fault is not over after 0.1 s")


def test_a_fault_that_fails_is_reported_with_its_error() -> None:
    fault = Happening(lambda: int("none"))
    fault.begin()
    with pytest.raises(AssertionError, match="the fault itself failed: ValueError"):
        fault.wait(10)


def test_a_fault_that_never_began_is_reported() -> None:
    with pytest.raises(AssertionError, match="before the fault began"):
        Happening(lambda: None).wait(10)


def test_a_fault_happens_once_however_often_it_is_begun() -> None:
    begun = []
    fault = Happening(lambda: begun.append(threading.get_ident()))
    fault.begin()
    fault.begin()
    fault.wait(10)
    assert len(begun) == 1
