"""The comparison of a shard's changed items, and of the events that wait in it, with the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from features import Event, Id, Layer
from stores import partition_of
from stores.redis.packed_changes import Waiting
from stores.redis.shard_view import ShardView
from tests.movielens import SCHEMA, rated
from tests.verify.test_epochs import NUMBERS, MemoryLog, expected_of
from tests.verify.worlds import World, ratings_world
from verify.catalogue import TIMES, differences_of
from verify.documents import changed_between
from verify.log import Expected

SHARD = 1


@pytest.fixture(scope="module")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> World:
    return ratings_world(tmp_path_factory.mktemp("ratings"))


@pytest.fixture
def expected(ratings: World) -> Expected:
    """A shard that has met two changes of two items, and in which three events wait for two others."""
    events = SCHEMA.events
    userids = [userid for userid in range(1, 99) if partition_of(userid, NUMBERS[-1]) == SHARD]
    records = [
        events.item_change(1, 3, {"title": "Changed", "genres": ["War"]}),
        events.item_change(1, 2, {}),
        events.item_change(98, 3, {}),
        events.withdrawal(2, 4),
        rated(userids[0], 1, 5, 100),
        rated(userids[0], 96, 5, 100),
        rated(userids[1], 97, 5, 100),
        rated(userids[1], 96, 4, 100),
    ]
    # Changes of version 3 reach the first partition alone (see `tests.verify.worlds.PARTIAL`).
    log = MemoryLog(ratings, [events.encode(record) for record in records], [])
    return expected_of(ratings, log)


def view_of(expected: Expected) -> ShardView:
    """The shard as it is stored, where nothing is wrong."""
    layer, waiting = expected.layer(SHARD), expected.waiting(SHARD)
    return ShardView(
        applied=10,
        users={},
        counters={},
        dead={},
        unpublished=frozenset(),
        changed=dict(layer.changed),
        changes=expected.made_current[SHARD],
        withdrawn=frozenset(layer.withdrawn),
        waiting={itemid: stored(some) for itemid, some in waiting.items()},
        waits=3,
    )


def stored(waiting: Sequence[tuple[int, Event]]) -> list[Waiting]:
    return [Waiting(offset, 12.0, *SCHEMA.events.encode(event)) for offset, event in waiting]


def names(expected: Expected, view: ShardView) -> list[str]:
    return [difference.name for difference in differences_of(expected, SHARD, view)]


def test_nothing_differs_where_everything_is_stored(expected: Expected) -> None:
    view = view_of(expected)
    assert {*view.changed} == {1, 2} and {*view.waiting} == {96, 97} and view.changes == 2
    assert names(expected, view) == []


def without(values: Any, itemid: Id) -> dict[Id, Any]:
    return {each: value for each, value in values.items() if each != itemid}


WRONG: dict[str, Callable[[ShardView], ShardView]] = {
    f"changed item 1 in shard {SHARD}": lambda view: replace(view, changed=without(view.changed, 1)),
    f"changed item 2 in shard {SHARD}": lambda view: replace(
        view, changed={**view.changed, 2: replace(view.changed[2], version=5)}
    ),
    f"changed item 3 in shard {SHARD}": lambda view: replace(view, changed={**view.changed, 3: view.changed[2]}),
    f"withdrawn items of shard {SHARD}": lambda view: replace(view, withdrawn=frozenset()),
    f"number of changes of items in shard {SHARD}": lambda view: replace(view, changes=view.changes + 1),
    f"number of waiting events in shard {SHARD}": lambda view: replace(view, waits=2),
    f"events that wait for item 96 in shard {SHARD}": lambda view: replace(
        view, waiting={**view.waiting, 96: view.waiting[96][:1]}
    ),
    f"events that wait for item 97 in shard {SHARD}": lambda view: replace(
        view, waiting={**view.waiting, 97: [view.waiting[97][0]._replace(value=b"not JSON")]}
    ),
    f"events that wait for item 99 in shard {SHARD}": lambda view: replace(
        view, waiting={**view.waiting, 99: view.waiting[97]}
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(expected: Expected, name: str) -> None:
    assert names(expected, WRONG[name](view_of(expected))) == [name]


def test_the_number_of_changes_of_a_shard_that_was_written_as_a_whole_is_a_time(expected: Expected) -> None:
    assert names(expected, replace(view_of(expected), changes=TIMES + 12)) == []


def test_after_an_adoption_a_shard_has_at_least_as_many_changes_as_changed_items(expected: Expected) -> None:
    view, expected.begun_changed[SHARD] = view_of(expected), 3
    assert names(expected, replace(view, changes=view.changes + 3)) == []
    assert names(expected, replace(view, changes=view.changes + 9)) == []
    assert names(expected, replace(view, changes=view.changes + 2)) == [f"number of changes of items in shard {SHARD}"]


def test_items_that_changed_between_two_looks_are_known(ratings: World) -> None:
    before = Layer(ratings.ratings.catalogue.items)
    before.apply(SCHEMA.events.item_change(1, 3, {}))
    after = before.copy()
    after.apply(SCHEMA.events.item_change(1, 2, {"genres": ["War"]}))
    assert changed_between(before, after) == set()
    after.apply(SCHEMA.events.item_change(1, 4, {}))
    after.apply(SCHEMA.events.withdrawal(98, 1))
    assert changed_between(before, after) == {1, 98}
