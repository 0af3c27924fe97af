"""The ids of a run."""

from __future__ import annotations

import pytest

from features import UNKNOWN_NUMBER
from features.columns import ItemTable
from features.stored import VersionError
from scoring.run_ids import RunIds
from tests import shop

IDS = RunIds.of(["bob", "ann", "eve"], ["mug", "ball"])
NUMBERED = RunIds.of([7, 3], range(1, 4))


@pytest.mark.parametrize("ids", [IDS, NUMBERED, RunIds.of([], [])])
def test_ids_come_back_as_they_were_stored(ids: RunIds) -> None:
    assert RunIds.unpack(ids.pack()) == RunIds.unpack(ids.pack().encode()) == ids


def test_a_text_of_digits_stays_a_text() -> None:
    ids = RunIds.unpack(RunIds.of(["1", "2"], ["3"]).pack())
    assert (ids.users.number("1"), ids.users.number(1)) == (1, UNKNOWN_NUMBER)


def test_without_an_erased_user_all_others_keep_their_numbers() -> None:
    left = RunIds.unpack(IDS.without_users({"bob", "zoe"}).pack())
    assert [left.users.number(name) for name in ("ann", "bob", "eve")] == [1, UNKNOWN_NUMBER, 3]
    assert (left.users.size, left.items) == (IDS.users.size, IDS.items)
    assert "bob" not in left.pack()


def test_items_of_a_catalogue_have_their_numbers_by_column_and_new_ones_are_unknown() -> None:
    few = ItemTable(shop.SCHEMA, {name: shop.item(name) for name in ("mug", "axe")})
    more = ItemTable(shop.SCHEMA, {name: shop.item(name) for name in ("mug", "axe", "ball")})
    for _ in range(2):
        assert IDS.columns(few).tolist() == [UNKNOWN_NUMBER, 2]
        assert IDS.columns(more).tolist() == [UNKNOWN_NUMBER, 1, 2]


def test_ids_of_another_version_are_refused() -> None:
    with pytest.raises(VersionError, match="version 2"):
        RunIds.unpack('{"schema_version": 2, "users": [], "items": []}')
