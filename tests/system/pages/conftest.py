"""A browser for all tests of the pages, and ratings that arrive meanwhile."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from features import Event
from tests.system.conftest import System
from tests.system.pages.browser import chromium

EVERY_S = 0.05


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def arriving(system: System) -> Iterator[None]:
    """Twenty ratings a second by the users of the replay, for as long as the test runs."""
    done = threading.Event()
    failed: list[BaseException] = []

    def send() -> None:
        try:
            for number, event in enumerate(itertools.cycle(system.events)):
                if done.wait(EVERY_S):
                    return
                system.send_events([Event(event.userid, event.itemid, 1 + number % 5, event.ts + number)])
        except BaseException as error:  # told by the test that waits for the thread
            failed.append(error)

    sending = threading.Thread(target=send)
    sending.start()
    try:
        yield
    finally:
        done.set()
        sending.join()
    assert not failed
    system.wait()
