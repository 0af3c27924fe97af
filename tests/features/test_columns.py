"""States turned into columns together say the same as one row after the other."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from features import Event, Rated, fold, supersedes, user_row
from features.columns import Before, ItemTable, row_values, user_columns
from tests.features.test_fold import ITEMS, histories
from tests.movielens import SCHEMA, user


@given(histories)
def test_states_taken_while_folding_equal_their_rows(history: list[Event]) -> None:
    profile, before, rows = SCHEMA.profile(1), Before(ItemTable(SCHEMA, ITEMS)), []
    known: dict[object, Rated] = {}
    for event in history:
        if supersedes(SCHEMA.codes, event, known.get(event.itemid)):
            before.take(profile)
            rows.append(row_values(SCHEMA, user_row(SCHEMA, profile, user(1), ITEMS)))
        if fold(SCHEMA.codes, profile, known.get(event.itemid), event, ITEMS):
            known[event.itemid] = (event.ts, event.code)
    assert len(before) == len(rows)
    if rows:
        expected = user_columns(SCHEMA, np.array(rows, dtype=np.int64))
        found = before.columns()
        assert found.keys() == expected.keys()
        for name, column in expected.items():
            assert np.array_equal(found[name], column), name
