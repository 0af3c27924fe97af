"""The API follows what is published: another data set, and the ids of the run, without a restart."""

from __future__ import annotations

import pytest

from api.live import Follower
from api.messages import RequestError
from features import UNKNOWN_NUMBER, Id, Item, Schema
from scoring.run_ids import RunIds
from settings import Settings
from stores import LiveRun, Snapshot, StateStores, connect
from stores.redis.generations import FIRST
from stores.redis.published_runs import RUN
from tests import movielens, shop

FILMS: dict[Id, Item] = {1: movielens.item(1, "One", 1994, (0,)), 2: movielens.item(2, "Two", 1985, (4,))}
PRODUCTS: dict[Id, Item] = {"i/1": shop.item("i/1", "Spade", (0,))}


def publish(settings: Settings, schema: Schema, items: dict[Id, Item], users: list[Id], run: str) -> None:
    """Publish a state without events, and a run, in place of what is published."""
    state = StateStores.of(settings, FIRST, connect(settings.redis))
    state.published.delete_all()
    state.profiles.delete_all()
    state.published.begin_snapshot(run, schema)
    state.published.set_catalogue(items)
    for shard in range(settings.kafka.partitions):
        state.profiles.write_shard(shard, {}, {}, {}, [])
    live = LiveRun(
        run=run,
        version=1,
        index="items-1",
        dim=3,
        history=10,
        quality=0.1,
        dense=list(schema.dense_columns),
        numbered=True,
    )
    state.published.set_ids(run, RunIds.of(users, items))
    state.published.client.set(RUN, live.model_dump_json())
    state.published.set_snapshot(Snapshot(data_hash="a", created=run, events=0, users=0, items=len(items)))


@pytest.fixture
def settings(redis: Settings) -> Settings:
    """Redis without any key, and ids that are read again at every look."""
    connect(redis.redis).flushall()
    return redis.model_copy(update={"api": redis.api.model_copy(update={"items_refresh_s": 0.0})})


def test_before_anything_is_published_there_is_no_data_set(settings: Settings) -> None:
    follower = Follower(settings)
    follower._look()
    with pytest.raises(RequestError, match="nothing is published yet") as refused:
        follower.require()
    assert refused.value.status == 503


def test_another_data_set_that_is_published_is_followed(settings: Settings) -> None:
    follower = Follower(settings)
    publish(settings, movielens.SCHEMA, FILMS, [7], "films")
    follower.look()
    live = follower.require()
    assert live.schema == movielens.SCHEMA and live.data_set.userid("7") == 7
    assert live.items.table.itemids == (1, 2) and live.ids.users.number(7) == 1
    publish(settings, shop.SCHEMA, PRODUCTS, ["u1"], "shop")
    follower._look()
    live = follower.require()
    assert live.schema == shop.SCHEMA and live.data_set.userid("7") == "7"
    assert live.items.table.itemids == ("i/1",) and live.ids.users.number("u1") == 1
    assert live.profiles.profile("u1") == (None, {}, -1, 0)
    assert follower.waits_for is None


def test_the_same_data_set_published_again_keeps_what_is_known_of_its_users(settings: Settings) -> None:
    follower = Follower(settings)
    publish(settings, shop.SCHEMA, PRODUCTS, ["u1"], "one")
    follower.look()
    before = follower.require().data_set
    before.attributes.remember("u1", {"segment": 1})
    publish(settings, shop.SCHEMA, PRODUCTS, ["u1"], "two")
    follower.look()
    assert follower.require().run.run == "two"
    assert follower.require().data_set is before
    assert before.attributes.of("u1") == shop.user("u1", 1)


def test_a_user_who_was_erased_becomes_unknown_to_the_models(settings: Settings) -> None:
    follower = Follower(settings)
    publish(settings, shop.SCHEMA, PRODUCTS, ["u1", "u2"], "one")
    follower.look()
    live = follower.require()
    follower.look()
    assert follower.require() is live
    StateStores.of(settings, FIRST).published.forget_users(["u1"])
    follower.look()
    ids = follower.require().ids
    assert (ids.users.number("u1"), ids.users.number("u2")) == (UNKNOWN_NUMBER, 2)


def test_a_run_of_another_data_set_is_not_kept_for_the_state_that_is_live(settings: Settings) -> None:
    follower = Follower(settings)
    publish(settings, movielens.SCHEMA, FILMS, [7], "films")
    follower.look()
    publish(settings, shop.SCHEMA, PRODUCTS, ["u1"], "shop")
    state = StateStores.of(settings, FIRST)
    other = LiveRun(run="other", version=2, index="items-2", dim=3, history=10, quality=0.1, dense=["x"], numbered=True)
    state.published.set_ids("other", RunIds.of(["u1"], PRODUCTS))
    state.published.client.set(RUN, other.model_dump_json())
    follower._look()
    live = follower.require()
    assert live.schema == shop.SCHEMA and live.run.run == "other"
    assert "was trained on other features" in (live.not_ranked or "")
