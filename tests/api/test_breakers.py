"""A store that keeps failing is left alone for a moment, and requests too many are refused."""

from __future__ import annotations

import threading
import time

import pytest

from api.breakers import Breakers
from api.shedding import Overloaded, Places
from stores import Unreachable


def away() -> None:
    raise Unreachable("away")


def test_a_store_that_fails_again_and_again_is_not_asked_and_later_is() -> None:
    breakers = Breakers(failures=2, pause_s=0.2)
    asked = []

    def failing() -> None:
        asked.append(1)
        away()

    for _ in range(5):
        with pytest.raises(Unreachable):
            breakers.call("store", failing)
    assert len(asked) == 2
    time.sleep(0.3)
    assert breakers.call("store", lambda: "back") == "back"
    assert breakers.call("store", lambda: "again") == "again"


def test_the_log_says_once_why_a_store_is_missing_from_answers(caplog: pytest.LogCaptureFixture) -> None:
    breakers = Breakers(failures=9, pause_s=10)
    for _ in range(2):
        for _ in range(3):
            with pytest.raises(Unreachable):
                breakers.call("store", away)
        breakers.call("store", lambda: "back")
    assert caplog.messages == ["store is missing from an answer: away"] * 2


def test_after_the_pause_one_request_asks_and_the_others_do_not_wait() -> None:
    breakers = Breakers(failures=1, pause_s=0.1)
    with pytest.raises(Unreachable):
        breakers.call("store", away)
    time.sleep(0.2)
    asked, answer = threading.Event(), threading.Event()

    def slow() -> str:
        asked.set()
        assert answer.wait(5)
        return "back"

    first = threading.Thread(target=breakers.call, args=("store", slow))
    first.start()
    assert asked.wait(5)
    with pytest.raises(Unreachable):
        breakers.call("store", lambda: "never asked")
    answer.set()
    first.join()
    assert breakers.call("store", lambda: "back") == "back"


def test_one_store_that_fails_leaves_the_others_alone() -> None:
    breakers = Breakers(failures=1, pause_s=10)
    with pytest.raises(Unreachable):
        breakers.call("one", away)
    assert breakers.call("other", lambda: 1) == 1


def test_an_error_that_is_not_of_the_store_opens_nothing() -> None:
    breakers = Breakers(failures=1, pause_s=10)
    for _ in range(3):
        with pytest.raises(KeyError):
            breakers.call("store", lambda: {}["x"])
    assert breakers.call("store", lambda: 1) == 1


def test_calls_to_one_store_run_side_by_side() -> None:
    breakers = Breakers(failures=1, pause_s=10)
    met = threading.Barrier(4, timeout=5)
    threads = [threading.Thread(target=breakers.call, args=("store", met.wait)) for _ in range(3)]
    for thread in threads:
        thread.start()
    met.wait()
    for thread in threads:
        thread.join()


def test_a_request_without_a_place_is_refused_once_the_wait_is_over() -> None:
    places = Places(1, 0.05)
    with places.one(), pytest.raises(Overloaded), places.one():
        pass
    with places.one():
        pass
