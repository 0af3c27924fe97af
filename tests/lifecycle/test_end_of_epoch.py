"""The offsets at which an epoch of the log ends."""

from __future__ import annotations

import pytest

from lifecycle.errors import LifecycleError
from lifecycle.partitions import ends_of_epoch


def test_an_epoch_ends_where_the_state_stands() -> None:
    assert ends_of_epoch([9, -1, 4], {0: 8, 1: 0, 2: 5, 3: 7}) == (10, 0, 5)


@pytest.mark.parametrize("applied", [[None, None], [9, None], [6, 4]])
def test_an_epoch_does_not_end_where_redis_has_lost_events_that_the_state_held(applied: list[int | None]) -> None:
    with pytest.raises(LifecycleError, match="Redis lost a part of the state"):
        ends_of_epoch(applied, {0: 8, 1: 5})
