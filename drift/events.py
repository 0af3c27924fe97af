"""Events as drift sees them: the ranker's input before each, the label, and, for some, what the ranker said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features import UNKNOWN, Schema

Ints = npt.NDArray[np.int64]

NO_LIST = -1
"""Rank of an event's item where no list was made."""


@dataclass(frozen=True)
class Events:
    """Consecutive events of one partition.

    Attributes:
        partition: of the events' topic.
        offset: in it, ascending, INT64 [N].
        ts: event time in unix seconds, INT64 [N].
        liked: the label: whether the event is positive, [N].
        rows: the ranker's dense input as it was before each event, FP32 [N, columns].
        wall_ts: when they were appended to the feature log, in unix seconds.
    """

    partition: int
    offset: Ints
    ts: Ints
    liked: npt.NDArray[np.bool_]
    rows: npt.NDArray[np.float32]
    wall_ts: float

    def __len__(self) -> int:
        return len(self.offset)


@dataclass(frozen=True)
class Scored:
    """The ranker's outputs for M of N events, before these were learned from.

    Attributes:
        run: the run that scored.
        place: of each among the events, ascending, INT64 [M].
        values: next, like and score of the event's item, FP64 [M, 3].
        rank: place of the event's item in the list that would have been served, from 0; `scoring.MISSED`
            or NO_LIST; INT64 [M].
        segments: names of the parts of the users that each event's user is in.
    """

    run: str
    place: Ints
    values: npt.NDArray[np.float64]
    rank: Ints
    segments: list[tuple[str, ...]]

    @classmethod
    def none(cls, run: str = "") -> Scored:
        """Nothing scored."""
        return cls(run, np.empty(0, np.int64), np.empty((0, 3)), np.empty(0, np.int64), [])


MOST_VALUES = 10
"""Most values of an attribute of users by which they are parted."""

LENGTHS = ((300, "300 and more"), (100, "100-299"), (20, "20-99"), (0, "under 20"))


def segments_of(schema: Schema, codes: Sequence[int], n: int) -> tuple[str, ...]:
    """The parts of the users that one is in, such as `gender:F` and `history:20-99`.

    Args:
        schema: of the data set.
        codes: of the user's attributes, as `User.codes`; those of at most MOST_VALUES values make parts.
        n: events of the user before this one.
    """
    parts = [
        f"{attribute.name}:{attribute.values[code]}"
        for attribute, code in zip(schema.user_attributes, codes, strict=True)
        if code != UNKNOWN and len(attribute.values) <= MOST_VALUES
    ]
    return (*parts, f"history:{next(name for least, name in LENGTHS if n >= least)}")
