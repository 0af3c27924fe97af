"""Changes of items and users in the stream: whatever happens, a shard holds what its log says, on a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from features import Erasure, Event, ItemChange, id_text
from features.event import LogRecord
from features.waiting import TOO_MANY
from scoring import preferences
from settings import Settings
from stores import Gap, Logged, Profiles, connect, view_shard
from stores.feast.feature_store import Features
from stores.redis.shard_catalogue import (
    changes,
    read_changed,
    read_layer,
    read_layers,
    read_withdrawn,
    waiting_items,
)
from stream.fold.event_path import Fold
from stream.fold.stores import FoldStores
from stream.troubles import Troubles
from tests import shop
from tests.stream.crashes import Crash, Crashing, CrashingFeatures, CrashingProfiles, DeadTopic
from tests.stream.samples import GOODS
from tests.stream.test_exactly_once import APPENDED, MAX_FUTURE_S, WAITING_EVENTS

SCHEMA, EVENTS = GOODS.schema, GOODS.schema.events
ONE, NEW = "a-1", "new/1"
ANN, BO = "ann", "bo"
HALF_LIFE = SCHEMA.codes.half_life_s
PURCHASED = 1024 * 4096
"""The weight of a purchase at the begin of the user's first half-life."""


class Folding:
    """A shard of the shop, folded by a worker that can be made to die."""

    def __init__(self, redis: Settings, features: Features) -> None:
        self.client = connect(redis.redis)
        self.client.flushall()
        self.crashing, self.features = Crashing(), features
        self.profiles = CrashingProfiles(self.client, "ratings", 1, schema=SCHEMA)
        self.profiles.crashing = self.crashing
        self.dead = DeadTopic(self.crashing)
        self.profiles.write_shard(0, {}, {}, {}, [])
        self.log: list[Logged] = []
        self.fold = self.new_worker()

    def new_worker(self) -> Fold:
        features: Any = CrashingFeatures(self.features, self.crashing)
        dead: Any = self.dead
        troubles = Troubles(lambda kind, n: None)
        stores = FoldStores(SCHEMA, GOODS.items, self.profiles, features, dead, troubles)
        return Fold(stores, MAX_FUTURE_S, lambda shard, first, end: (), waiting_events=WAITING_EVENTS)

    def put(self, *read: LogRecord) -> list[Logged]:
        records = [
            Logged(0, len(self.log) + place, *EVENTS.encode(each), (), APPENDED) for place, each in enumerate(read)
        ]
        self.log += records
        return records

    def send(self, *read: LogRecord) -> None:
        _, refused = self.fold({0: self.put(*read)})
        assert not refused

    def profile(self, userid: str) -> Any:
        return self.profiles.profile(userid)[0]

    def row(self, userid: str) -> Any:
        return self.features.users([userid]).get(userid)


@pytest.fixture(scope="module")
def features(redis: Settings) -> Features:
    return Features(redis, SCHEMA)


@pytest.fixture
def folding(redis: Settings, features: Features) -> Iterator[Folding]:
    made = Folding(redis, features)
    with closing(made.client):
        yield made


def change(itemid: str, version: int, **words: object) -> ItemChange:
    return EVENTS.item_change(itemid, version, words)


def view(userid: str, itemid: str, ts: int) -> Event:
    return shop.event(userid, itemid, shop.VIEW, ts)


def test_an_event_waits_for_its_item_and_counts_at_the_change_that_brings_it(folding: Folding) -> None:
    folding.send(view(ANN, NEW, 5), view(ANN, ONE, 9), view(BO, NEW, 7))
    assert folding.profile(ANN).n == 1 and folding.profile(BO) is None
    assert waiting_items(folding.profiles) == {NEW} and folding.dead.told == []
    folding.send(change(NEW, 1, categories=["toys"]), view(ANN, NEW, 10))
    ann, bo = folding.profile(ANN), folding.profile(BO)
    assert [event[:2] for event in ann.recent] == [(5, NEW), (9, ONE), (10, NEW)] and bo.n == 1
    assert ann.tallies[0] == [1, 0, 3]  # the item of the catalogue is of the garden and of toys
    assert folding.profiles.shard_counters(0)[NEW].n == 2
    assert waiting_items(folding.profiles) == set()
    assert (folding.row(ANN)["n"], folding.row(BO)["n"]) == (3, 1)
    assert folding.client.exists("{ratings-0}:waiting", "{ratings-0}:waits") == 0


def test_beyond_the_bound_an_event_that_would_wait_is_a_dead_letter(folding: Folding) -> None:
    folding.send(*(view(ANN, NEW, ts) for ts in range(WAITING_EVENTS)))
    folding.send(view(BO, "another", 1), view(BO, ONE, 1))
    assert folding.dead.told == [(0, WAITING_EVENTS, TOO_MANY)]
    assert folding.profiles.dead() == {TOO_MANY: 1}
    folding.send(change(NEW, 1), view(BO, "another", 2))
    assert waiting_items(folding.profiles) == {"another"}


def test_an_event_is_taken_back_as_it_was_counted_whatever_became_of_its_item(folding: Folding) -> None:
    folding.send(shop.event(ANN, ONE, shop.PURCHASE, 1))
    assert folding.profile(ANN).tallies[0] == [1, 0, 1]
    folding.send(change(ONE, 5, categories=["kitchen"]), shop.event(ANN, ONE, shop.PURCHASE, 2))
    assert folding.profile(ANN).tallies[0] == [0, 1, 0]
    folding.send(change(ONE, 6, categories=["garden"]), shop.event(ANN, ONE, shop.PURCHASE, 3))
    ann = folding.profile(ANN)
    assert ann.tallies[0] == [1, 0, 0] and len(ann.counted) == 1


def test_a_weight_is_taken_back_as_it_was_added_whatever_became_of_its_item(folding: Folding) -> None:
    folding.send(shop.event(ANN, ONE, shop.PURCHASE, 1), change(ONE, 5, categories=["kitchen"], price=50.0))
    assert preferences(SCHEMA, folding.profile(ANN).weights)["categories"] == {0: 1.0, 2: 1.0}
    folding.send(shop.event(ANN, ONE, shop.PURCHASE, HALF_LIFE))
    folding.send(change(ONE, 6, categories=["garden"]))
    categories, brands, prices = folding.profile(ANN).weights
    assert (categories, brands, prices) == ({1: 2 * PURCHASED}, {}, {2: 2 * PURCHASED})


def test_an_event_that_waited_weighs_as_of_its_own_time(folding: Folding) -> None:
    folding.send(shop.event(ANN, NEW, shop.PURCHASE, 5), shop.event(ANN, "3", shop.PURCHASE, 3 * HALF_LIFE))
    assert folding.profile(ANN).weights[0] == {1: PURCHASED}
    folding.send(change(NEW, 1, categories=["garden", "toys"]))
    assert folding.profile(ANN).weights[0] == {0: PURCHASED // 2, 1: 8 * PURCHASED, 2: PURCHASED // 2}


def test_of_a_user_who_was_erased_no_weight_is_left(folding: Folding) -> None:
    folding.send(view(ANN, NEW, 0), shop.event(ANN, ONE, shop.PURCHASE, 1), Erasure(ANN))
    folding.send(change(NEW, 1, categories=["kitchen"]), shop.event(ANN, "3", shop.PURCHASE, 4 * HALF_LIFE))
    assert folding.profile(ANN).weights[0] == {1: PURCHASED}


def test_the_highest_version_counts_in_whatever_order_changes_come(folding: Folding) -> None:
    folding.send(change(ONE, 7, title="Seven"), change(ONE, 3, title="Three"))
    layer = read_layer(folding.profiles, 0, GOODS.items)
    assert (layer[ONE].title, layer.version(ONE), changes(folding.profiles)) == ("Seven", 7, [1])
    folding.send(change(ONE, 8, title="Eight"), EVENTS.withdrawal("b/2", 4), EVENTS.withdrawal("nobody", 4))
    layer = read_layers(folding.profiles, GOODS.items)
    assert layer[ONE].title == "Eight" and changes(folding.profiles) == [4]
    assert read_withdrawn(folding.profiles, 0) == layer.withdrawn == {"b/2", "nobody"}
    assert "nobody" not in layer and layer["b/2"] == GOODS.items["b/2"]
    some = read_changed(folding.profiles, GOODS.items, ["b/2", "3"])
    assert some.changed.keys() == {"b/2"} and some["3"] == GOODS.items["3"]
    folding.send(change("b/2", 5))
    assert read_withdrawn(folding.profiles, 0) == {"nobody"}
    assert folding.profiles.profile(ANN)[3] == 5


def test_events_with_a_withdrawn_item_count_on(folding: Folding) -> None:
    folding.send(EVENTS.withdrawal(ONE, 4), view(ANN, ONE, 1))
    assert folding.profile(ANN).tallies[0] == [1, 0, 1]


def test_a_changed_item_stays_marked_until_it_is_published(folding: Folding) -> None:
    folding.send(change(NEW, 1))
    assert view_shard(folding.profiles, 0).unpublished == {NEW}


def test_an_erasure_takes_out_what_waits_of_its_user(folding: Folding) -> None:
    folding.send(view(ANN, NEW, 5), view(BO, NEW, 6), view(ANN, "another", 7), Erasure(ANN))
    assert folding.client.get("{ratings-0}:waits") == b"1"
    folding.send(change(NEW, 1), change("another", 1))
    assert folding.profile(ANN) is None and folding.profile(BO).n == 1
    assert folding.client.smembers("{ratings-0}:unwritten") == {b"bo"}
    folding.send(Erasure(BO))
    assert not folding.client.exists("{ratings-0}:unwritten")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("effect", ["commit", "set_served"])
def test_the_rows_of_events_that_waited_are_written_after_a_crash(folding: Folding, effect: str, after: bool) -> None:
    folding.send(view(ANN, NEW, 5), view(BO, NEW, 6))
    begin = len(folding.log)
    records = folding.put(change(NEW, 1))
    folding.crashing.at = effect, after
    with pytest.raises(Crash):
        folding.fold({0: records})
    folding.crashing.at = None
    # Another change follows, and its worker dies as well; the rows of the first are still to be written.
    later = folding.put(change("another", 1))
    folding.crashing.at, folding.crashing.times = ("commit", True), 1
    with pytest.raises(Crash):
        folding.new_worker()({0: [*records, *later]})
    folding.crashing.at = None
    assert not folding.new_worker()({0: folding.log[begin:]})[1]
    assert {userid: folding.row(userid)["n"] for userid in (ANN, BO)} == {ANN: 1, BO: 1}


def test_a_worker_reads_the_items_again_that_another_has_changed(folding: Folding) -> None:
    folding.send(change(NEW, 1, categories=["toys"]), view(ANN, NEW, 1))
    other = folding.new_worker()
    assert not other({0: folding.put(change(NEW, 2, categories=["garden"]))})[1]
    folding.send(view(ANN, NEW, 2))
    assert folding.profile(ANN).tallies[0] == [1, 0, 1]


def test_a_worker_forgets_changes_that_it_could_not_commit(folding: Folding) -> None:
    folding.send(change(NEW, 1, categories=["toys"]))
    records = folding.put(change(NEW, 2, categories=["garden"]))
    folding.crashing.at = "commit", False
    with pytest.raises(Crash):
        folding.fold({0: records})
    folding.crashing.at = None
    other = folding.put(view(ANN, NEW, 1))
    assert not folding.fold({0: records})[1] and not folding.fold({0: other})[1]
    assert folding.profile(ANN).tallies[0] == [1, 0, 0]
    assert changes(folding.profiles) == [2]


def test_a_user_who_changes_has_the_attributes_in_the_row(folding: Folding) -> None:
    new, regular = (EVENTS.user_change(ANN, {"segment": segment}) for segment in ("new", "regular"))
    folding.send(new)
    assert folding.row(ANN) is None and folding.profiles.attributes([ANN])[ANN].codes == (0,)
    folding.send(view(ANN, ONE, 1))
    assert folding.row(ANN)["segment"] == 0
    folding.send(regular, EVENTS.user_change(ANN, {}), regular)
    assert folding.row(ANN)["segment"] == 1 and folding.profile(ANN).version == 4
    folding.send(Erasure(ANN))
    assert folding.profiles.attributes([ANN])[ANN].codes == (-1,) and folding.row(ANN) is None


@pytest.mark.parametrize("value", [b"junk", b"\xc1", b""])
def test_a_shard_whose_changed_items_cannot_be_read_is_stopped(folding: Folding, value: bytes) -> None:
    folding.send(change(NEW, 1))
    folding.client.hset("{ratings-0}:catalogue", NEW, value)
    _, refused = folding.new_worker()({0: folding.put(view(ANN, ONE, 1))})
    assert isinstance(refused[0], Gap)
    assert "change of item new/1" in str(refused[0]) and "restore Redis from a backup" in str(refused[0])


@pytest.mark.parametrize("key", ["changes", "waits"])
def test_a_shard_that_does_not_say_how_often_its_items_changed_is_stopped(folding: Folding, key: str) -> None:
    folding.client.rpush(f"{{ratings-0}}:{key}", "junk")
    _, refused = folding.fold({0: folding.put(view(ANN, ONE, 1))})
    assert isinstance(refused[0], Gap) and f"{{ratings-0}}:{key} in Redis" in str(refused[0])


def test_events_that_wait_and_cannot_be_read_are_reported_and_left_out(folding: Folding) -> None:
    folding.send(view(ANN, NEW, 1))
    folding.client.hset("{ratings-0}:waiting", NEW, b"junk")
    folding.send(change(NEW, 1), view(BO, NEW, 2))
    assert folding.profile(ANN) is None and folding.profile(BO).n == 1


def test_a_written_shard_goes_on_with_its_changed_items_and_waiting_events(folding: Folding) -> None:
    folding.send(change(ONE, 3, categories=["kitchen"]), EVENTS.withdrawal("3", 2), view(ANN, NEW, 5))
    before = view_shard(folding.profiles, 0)
    layer = read_layer(folding.profiles, 0, GOODS.items)
    folding.profiles.delete_all()
    assert not [*folding.client.scan_iter("{ratings-0}:*")]
    folding.profiles.write_shard(0, {}, {}, {}, [], layer=layer, waiting=before.waiting)
    after = view_shard(folding.profiles, 0)
    assert (after.changed, after.waiting, after.waits) == (before.changed, before.waiting, 1)
    assert after.withdrawn == {"3"} and after.changes > before.changes
    folding.log.clear()
    folding.send(view(BO, ONE, 1), change(NEW, 1))
    assert folding.profile(BO).tallies[0] == [0, 1, 0] and folding.profile(ANN).n == 1


def test_the_names_of_users_and_items_never_mix(folding: Folding) -> None:
    """A change of an item has the key of a user of the same name."""
    folding.send(view("7", NEW, 1), change("7", 1, categories=["toys"]), Erasure("7"))
    assert waiting_items(folding.profiles) == set()
    assert "7" in read_layer(folding.profiles, 0, GOODS.items)
    assert id_text("7") in map(bytes.decode, folding.client.hkeys("{ratings-0}:catalogue"))


def test_where_nothing_was_changed_nothing_is_read(folding: Folding) -> None:
    profiles = Profiles(folding.client, "other", 2, schema=SCHEMA)
    assert changes(profiles) == [0, 0] and waiting_items(profiles) == set()
    assert read_layers(profiles, GOODS.items).changed == {}
