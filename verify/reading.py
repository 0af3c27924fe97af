"""Reading stored values of which some may be damaged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from features import Id
from stores import NotPublished, Unreachable
from verify.report import Unreadable

T = TypeVar("T")


def read_each(read: Callable[[Sequence[Id]], Mapping[Id, T]], ids: Sequence[Id]) -> dict[Id, T | Unreadable]:
    """Read values by id; one that cannot be read does not keep the others from being read.

    Raises:
        Unreachable: if the store does not answer.
    """
    if not ids:
        return {}
    try:
        return dict(read(ids))
    except (Unreachable, NotPublished):
        raise
    except Exception as error:
        if len(ids) == 1:
            return {ids[0]: Unreadable(f"{type(error).__name__}: {error}")}
    half = len(ids) // 2
    return read_each(read, ids[:half]) | read_each(read, ids[half:])


def read_one(read: Callable[[], T]) -> T | Unreadable:
    """Read one value.

    Raises:
        Unreachable: if the store does not answer.
    """
    try:
        return read()
    except Unreachable:
        raise
    except Exception as error:
        return Unreadable(f"{type(error).__name__}: {error}")
