"""Trimming leaves the part of the log that a generation other than the live one still needs."""

from __future__ import annotations

import pytest

from stores.archive.trim import needs_from
from stores.kafka.log_check import LogIdentity, ShardPosition
from stores.kafka.record import Mark

LOG, OTHER = LogIdentity("cluster", "topic"), LogIdentity("cluster", "another topic")


@pytest.mark.parametrize(
    ("position", "visible", "begin"),
    [
        (ShardPosition(None), None, 0),
        (ShardPosition(40, LOG), None, 0),
        (ShardPosition(-1, LOG), -1, -1),
        (ShardPosition(40, LOG), 40, 40),
        (ShardPosition(40, LOG, Mark(38, "x")), 40, 38),
        (ShardPosition(40, LOG, Mark(38, "x")), 30, 30),
        (ShardPosition(40, None, Mark(38, "x")), 40, 38),
        (ShardPosition(40, LOG, Mark(38, "x"), stopped="why"), 40, 38),
    ],
)
def test_a_state_needs_the_log_from_the_last_record_that_it_recognizes_it_by_and_has_the_rows_of(
    position: ShardPosition, visible: int | None, begin: int
) -> None:
    assert needs_from(position, visible, LOG) == begin


def test_a_state_of_another_log_needs_nothing_of_this_one() -> None:
    assert needs_from(ShardPosition(40, OTHER, Mark(38, "x")), 40, LOG) is None
