"""The kinds of requests that `bench filters` sends, and how many items each allows."""

from __future__ import annotations

from bench.filters import MOST, PLAIN, SIZE, kinds
from tests.movielens import GENRES, SCHEMA, item

ITEMS = {
    itemid: item(itemid, f"item {itemid}", 1950 + itemid % 50, tuple(sorted({0, itemid % 18, itemid % 7})))
    for itemid in range(1, 301)
}
"""Every item has the first genre."""


def test_each_kind_allows_as_many_items_as_meet_it() -> None:
    found = {kind.name: kind for kind in kinds(SCHEMA, ITEMS)}
    assert next(iter(found)) == PLAIN and found[PLAIN].items == found["diversity"].items == len(ITEMS)
    any_of = found["any"].body["filter"]["genres"]["any"]
    assert any_of[0] == GENRES[0] and found["any"].items == len(ITEMS)
    first, second = found["all"].body["filter"]["genres"]["all"]
    having = [known for known in ITEMS.values() if GENRES.index(second) in known.values[1]]
    assert first == GENRES[0] and found["all"].items == len(having)
    (rare,) = found["rare"].body["filter"]["genres"]["any"]
    count = {genre: sum(code in known.values[1] for known in ITEMS.values()) for code, genre in enumerate(GENRES)}
    assert found["rare"].items == count[rare] == min(n for n in count.values() if n >= 2 * SIZE)
    year = found["range"].body["filter"]["year"]
    assert found["range"].items == sum(year["min"] <= known.values[0] <= year["max"] for known in ITEMS.values())
    assert found["diversity"].body == {"diversity": {"attribute": "genres", "most": MOST}}


def test_of_a_catalogue_with_few_items_no_value_is_rare_enough() -> None:
    few = dict(list(ITEMS.items())[:5])
    assert "rare" not in {kind.name for kind in kinds(SCHEMA, few)}
