"""The plan by which a stopped partition continues."""

from __future__ import annotations

from offline.state.adopt import plan
from stores.kafka.batch_headers import Run
from stores.kafka.log_check import Checked, LogBounds, LogIdentity, ShardPosition

LOG = LogIdentity("cluster", "topic")


def checked(applied: int, *given_up: tuple[int, int]) -> Checked:
    """A shard in a log of the offsets 0 to 9, some of which were given up before."""
    return Checked(ShardPosition(applied, LOG, lost=given_up), LogBounds(0, LOG, 0, 10, 10), None)


def test_what_was_given_up_before_and_is_not_reached_yet_stays_given_up() -> None:
    found = plan(0, checked(-1, (1, 2), (7, 9)), 0, 0, [Run(2, 7, True), Run(9, 10, True)])
    assert found is not None
    assert found.lost == [(0, 0)]
    assert found.passed_over == [(0, 1), (1, 2), (7, 9)]


def test_what_was_given_up_before_and_is_behind_the_state_is_forgotten() -> None:
    found = plan(0, checked(4, (1, 2), (7, 9)), 0, 0, [Run(6, 7, True), Run(9, 10, True)])
    assert found is not None
    assert found.lost == [(5, 5)]
    assert found.passed_over == [(5, 6), (7, 9)]


def test_a_partition_whose_only_losses_were_given_up_needs_no_help() -> None:
    assert plan(0, checked(-1, (1, 2)), 0, 0, [Run(0, 1, True), Run(2, 10, True)]) is None
