"""States turned into columns together say the same as one row after the other."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from features import Event, Profile, User, fold, supersedes, user_row
from features.columns import Before, ItemTable, row_values, user_columns
from tests.features.test_fold import ITEMS, histories


@given(histories)
def test_states_taken_while_folding_equal_their_rows(history: list[Event]) -> None:
    profile, before, rows = Profile(1), Before(ItemTable(ITEMS)), []
    known: dict[int, tuple[int, int]] = {}
    for event in history:
        if supersedes(event, known.get(event.itemid)):
            before.take(profile)
            rows.append(row_values(user_row(profile, User(1), ITEMS)))
        if fold(profile, known.get(event.itemid), event, ITEMS[event.itemid]):
            known[event.itemid] = (event.ts, event.rating)
    assert len(before) == len(rows)
    if rows:
        expected = user_columns(np.array(rows, dtype=np.int64))
        found = before.columns()
        assert found.keys() == expected.keys()
        for name, column in expected.items():
            assert np.array_equal(found[name], column), name
