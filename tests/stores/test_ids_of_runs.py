"""The ids of runs in Redis: by which their models know users and items."""

from __future__ import annotations

import json

import numpy as np
import pytest

from features import UNKNOWN_NUMBER
from scoring.metadata import Regression
from scoring.run_ids import RunIds
from settings import Settings
from stores import LiveRun, NotPublished, OtherVersion, Published, StateStores
from stores.redis.generations import FIRST
from stores.redis.published_runs import IDS, REFERENCE, RUN
from stores.run_items import NEW_PRIOR, RunItems
from tests import movielens, shop

NOW = RunIds.of(["u1", "ü:2", "u3"], ["i1", "i{2}"])


def live_run(*, numbered: bool) -> LiveRun:
    return LiveRun(run="one", version=1, index="items-1", dim=3, history=10, quality=0.1, numbered=numbered)


def test_the_ids_of_a_run_read_back_and_go_with_the_run(published: Published) -> None:
    for run in ("one", "two"):
        published.set_ids(run, NOW)
        published.set_reference(run, "{}")
    assert published.ids("one") == NOW and published.ids("three") is None
    published.keep_runs(["two"])
    assert published.ids("one") is None and published.ids("two") == NOW
    assert published.client.hkeys(IDS) == published.client.hkeys(REFERENCE) == [b"two"]


def test_the_vectors_of_a_run_read_back_by_number_and_go_with_the_run(published: Published) -> None:
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    regression = Regression.of_mean(rows[:, :3])
    for run in ("one", "two"):
        published.set_items(run, regression, rows)
    found = published.item_rows("one", [3, 1], 3)
    np.testing.assert_array_equal(np.array(found), rows[[2, 0]])
    # An item that the stored rows lack, and a run that nothing is stored of.
    assert published.item_rows("one", [4], 3) == [None] == published.item_rows("three", [1], 3)
    read = published.regression("one")
    assert read is not None and read.columns == regression.columns
    np.testing.assert_array_equal(read.weights, regression.weights)
    published.keep_runs(["two"])
    assert published.regression("one") is None and published.item_rows("one", [1], 3) == [None]
    assert published.regression("two") is not None and published.item_rows("two", [1], 3)[0] is not None


def test_an_item_of_the_run_keeps_its_trained_vector_and_a_new_one_is_predicted(published: Published) -> None:
    run = live_run(numbered=True)
    lamp, desk, new = shop.item("lamp", price=5.0), shop.item("desk", price=6.0), shop.item("new", price=7.0)
    rows = np.array([[1, 2, 3, 0.5], [4, 5, 6, 0.25]], dtype=np.float32)
    regression = Regression.of_mean(rows[:, :3])
    published.set_items("one", regression, rows)
    items = RunItems(published, run, RunIds.of([], ["desk", "lamp"]), regression)
    found = items.rows(shop.SCHEMA, [new, lamp, desk])
    assert [(vector.tolist(), prior) for vector, prior in found] == [
        ([2.5, 3.5, 4.5], NEW_PRIOR),
        ([4.0, 5.0, 6.0], 0.25),
        ([1.0, 2.0, 3.0], 0.5),
    ]
    assert items.rows(shop.SCHEMA, []) == []


def test_an_erased_user_goes_from_the_ids_of_all_runs_and_no_other_number_changes(published: Published) -> None:
    other = RunIds.of(["u3"], ["i1"])
    for run, ids in (("one", NOW), ("two", other)):
        published.set_ids(run, ids)
    published.forget_users(["ü:2", "i1", "nobody"])
    found = published.ids("one")
    assert found is not None and found.items == NOW.items
    numbers = {userid: NOW.users.number(userid) for userid in ("u1", "u3")} | {"ü:2": UNKNOWN_NUMBER}
    assert {userid: found.users.number(userid) for userid in numbers} == numbers
    assert found.users.size == NOW.users.size
    assert "ü:2" not in (published.ids_text("one") or "")
    assert published.ids("two") == other


def test_lists_are_made_with_the_ids_of_the_run(redis: Settings, published: Published) -> None:
    state = StateStores.of(redis, FIRST, published.client)
    published.begin_snapshot("a", shop.SCHEMA)
    with pytest.raises(NotPublished, match="run `reelstream publish one` again"):
        state.ids(live_run(numbered=True))
    published.set_ids("one", NOW)
    assert state.ids(live_run(numbered=True)) == NOW
    stored = json.loads(NOW.pack())
    published.client.hset(IDS, "one", json.dumps(stored | {"schema_version": 99}))
    with pytest.raises(OtherVersion, match=r"version 99 .*`reelstream publish --force`"):
        state.ids(live_run(numbered=True))


def test_to_the_models_of_a_run_from_an_earlier_release_an_id_is_its_number(
    redis: Settings, published: Published
) -> None:
    stored = {"run": "one", "version": 1, "index": "items-1", "dim": 3, "history": 10, "quality": 0.1}
    published.client.set(RUN, json.dumps(stored))
    run = published.run()
    assert run is not None and not run.numbered and run.schema_version == LiveRun.current_version()
    state = StateStores.of(redis, FIRST, published.client)
    published.begin_snapshot("a", movielens.SCHEMA)
    published.set_catalogue({itemid: movielens.item(itemid) for itemid in (2, 9)})
    profiles = state.profiles
    for shard in range(profiles.partitions):
        users = [movielens.user(userid) for userid in (3, 30) if profiles.shard_of(userid) == shard]
        profiles.write_shard(shard, {}, {}, {}, users)
    ids = state.ids(run)
    assert [ids.users.number(userid) for userid in (1, 3, 30, 31)] == [1, 3, 30, UNKNOWN_NUMBER]
    assert [ids.items.number(itemid) for itemid in (2, 9, 10)] == [2, 9, UNKNOWN_NUMBER]


def test_a_run_that_goes_live_says_that_its_models_know_numbers(published: Published) -> None:
    run = live_run(numbered=True)
    assert LiveRun.read(run.model_dump_json()) == run
    assert json.loads(run.model_dump_json())["schema_version"] == 2, "an earlier release must not give its models ids"


def test_items_of_all_runs_are_weighed_anew_and_keep_their_vectors(published: Published) -> None:
    rows = np.array([[1, 2, 0.5], [3, 4, 0.25], [5, 6, 0.125]], dtype=np.float32)
    for run in ("one", "two"):
        published.set_items(run, Regression.of_mean(rows[:, :2]), rows)
        published.set_ids(run, RunIds.of([], ["desk", "lamp", "sofa"]))
    published.weigh_items({"lamp": 0.75, "sofa": 1.0, "unknown to the runs": 1.0})
    wanted = [[1, 2, 0.5], [3, 4, 0.75], [5, 6, 1.0]]
    for run in ("one", "two"):
        assert np.array(published.item_rows(run, [1, 2, 3], 2)).tolist() == wanted
