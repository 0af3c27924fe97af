"""Waiting for something that other processes bring about."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

EVERY_S = 0.05


def until(
    condition: Callable[[], T],
    seconds: float = 30.0,
    message: Callable[[], object] | str = "",
    not_yet: tuple[type[Exception], ...] = (),
) -> T:
    """Evaluate a condition again and again until its result is true.

    Args:
        condition: any function.
        seconds: longest wait.
        message: explanation of a failure, or a function that returns one.
        not_yet: errors of the condition that count as false; any other is passed on.

    Returns:
        The first result that is true.

    Raises:
        AssertionError: if there is none in time.
    """
    end = time.monotonic() + seconds
    while True:
        result: object
        try:
            if result := condition():
                return result
        except not_yet as error:
            result = error
        if time.monotonic() > end:
            why = message() if callable(message) else message
            raise AssertionError(f"not within {seconds:g} s (last result: {result!r}) {why}".rstrip())
        time.sleep(EVERY_S)
