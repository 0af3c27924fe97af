"""The items in memory follow changes: new ones get a column, withdrawn ones lose theirs, and counters stay."""

from __future__ import annotations

from typing import Any

import pytest

from api.items import LiveItems
from features import Id, Item, Layer
from scoring import UserState
from scoring.counters import COLUMNS
from scoring.fallback import popular
from scoring.run_ids import RunIds
from tests.shop import SCHEMA, item

ITEMS: dict[Id, Item] = {itemid: item(itemid, itemid.upper(), (0,), brand=1, price=5.0) for itemid in ("b", "d", "f")}
CHANGES = SCHEMA.events


def layer(*changes: Any) -> Layer:
    made = Layer(ITEMS)
    for change in changes:
        made.apply(change)
    return made


def put(itemid: str, version: int = 1, **words: Any) -> Any:
    return CHANGES.item_change(itemid, version, words)


def withdrawal(itemid: str, version: int = 2) -> Any:
    return CHANGES.withdrawal(itemid, version)


def counts(n: int) -> dict[str, Any]:
    return {"n": n, "likes": n, "recent_likes": n, "last_ts": 1000 + n}


@pytest.fixture
def items() -> LiveItems:
    items = LiveItems(SCHEMA, ITEMS, 7.0)
    items.update({"b": counts(1), "d": counts(2), "f": counts(3)})
    return items


def test_a_new_item_has_a_column_between_the_others_and_they_keep_their_counts(items: LiveItems) -> None:
    now = items.changed(layer(put("c", title="New", price=9)))
    assert now.table.itemids == ("b", "c", "d", "f")
    assert [each.itemid for each in now.ordered] == ["b", "c", "d", "f"]
    assert now.counters.n.tolist() == [1, 0, 2, 3]
    now.update({"c": counts(4)})
    assert now.counts("c") == counts(4)
    assert now.name("c") == "New"


def test_those_who_hold_the_items_before_a_change_see_them_as_they_were(items: LiveItems) -> None:
    now = items.changed(layer(put("c"), withdrawal("d")))
    now.update({"b": counts(9), "d": counts(9)})
    assert items.table.itemids == ("b", "d", "f")
    assert len(items.ordered) == len(items.counters.n) == 3
    assert items.counts("b") == counts(1) and items.counts("d") == counts(2)
    assert "c" not in items.items and items.withdrawn == frozenset()


def test_a_withdrawn_item_has_no_column_and_keeps_its_facts(items: LiveItems) -> None:
    now = items.changed(layer(withdrawal("d")))
    assert now.table.itemids == ("b", "f")
    assert now.items["d"] is ITEMS["d"]
    assert now.counts("d") == counts(2)
    now.update({"d": counts(5), "f": counts(6)})
    assert (now.counts("d"), now.counts("f")) == (counts(5), counts(6))


def test_an_item_that_is_put_back_has_its_counts_again(items: LiveItems) -> None:
    gone = items.changed(layer(withdrawal("d")))
    back = gone.changed(layer(put("d", 3, title="Again")))
    assert back.table.itemids == ("b", "d", "f")
    assert (back.counts("d"), back.name("d"), back.withdrawn) == (counts(2), "Again", frozenset())


def test_changes_that_are_known_or_came_too_late_leave_the_same_items(items: LiveItems) -> None:
    now = items.changed(layer(put("d", 5, title="Five"), withdrawal("x", 5)))
    assert now.changed(layer(put("d", 5, title="Five"))) is now
    assert now.changed(layer(put("d", 4, title="Four"))).name("d") == "Five"
    assert now.changed(layer()) is now


def test_a_withdrawal_of_an_item_that_nobody_knows_changes_no_column(items: LiveItems) -> None:
    now = items.changed(layer(withdrawal("x")))
    assert now.table.itemids == items.table.itemids
    assert "x" not in now.items and now.counts("x") == dict.fromkeys(COLUMNS, 0)
    assert now.changed(layer(put("x", 3))).table.itemids == ("b", "d", "f", "x")


def test_a_revision_that_another_shard_counted_under_is_kept_although_it_is_not_the_last(items: LiveItems) -> None:
    now = items.changed(layer(put("d", 5, price=50)))
    earlier = put("d", 4, price=40)
    merged = now.changed(layer(earlier))
    assert merged.items.changed["d"].counted.keys() > now.items.changed["d"].counted.keys()
    assert merged.items["d"] == now.items["d"]


def test_popular_items_are_those_that_have_a_column(items: LiveItems) -> None:
    now = items.changed(layer(withdrawal("f"), put("c")))
    state = UserState(SCHEMA.user("u"))
    lists = popular([state.exclude], now.counters.popularity, now.table, 10)
    listed = [now.ordered[column].itemid for column, _ in lists.entries(0)]
    assert sorted(listed) == ["b", "c", "d"] and listed[0] == "d"


def test_ids_that_the_run_does_not_know_are_the_unknown_of_its_models(items: LiveItems) -> None:
    ids = RunIds.of([], ITEMS)
    now = items.changed(layer(put("c")))
    before, after = ids.columns(items.table).tolist(), ids.columns(now.table).tolist()
    assert [after[0], *after[2:]] == before
    assert after[1] == ids.items.number("c") not in before
    assert ids.columns(items.table) is not None and ids.columns(now.table).tolist() == after


def test_a_shop_of_which_half_is_withdrawn_lists_the_other_half(items: LiveItems) -> None:
    assert items.changed(layer(withdrawal("b"))).listed({"b", "d", "none"}) == ["d"]
