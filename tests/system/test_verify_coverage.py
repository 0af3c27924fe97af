"""`reelstream verify` reports every kind of stored value that is not what it must be, by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgpack
import pytest
from elasticsearch import Elasticsearch
from feast.protos.feast.types.Value_pb2 import Value

import features.profile
from cli.models import publish_run
from offline import runs
from stores import NotPublished, Published, Unreachable
from stores.feast.online_rows import OnlineRows
from stores.redis.published import CATALOGUE, OTHERS, REFERENCE, RESETTING, RUN, SNAPSHOT
from tests.system.conftest import System
from verify import Verified, verify

Tampering = Callable[[System], str]
"""Changes what is stored; gives the beginning of the name under which it must be reported."""

PLACES: list[set[str]] = []
"""The values that each round changes."""

ROUNDS: list[dict[str, Tampering]] = []
"""Changes that are made together and looked for at once, by name."""


def tampering(of: str = "") -> Callable[[Tampering], Tampering]:
    """Add a change to the first round in which none is of the same value, for one would hide the other."""

    def add(function: Tampering) -> Tampering:
        taken = sum(of in round_of for round_of in PLACES) if of else 0
        while len(ROUNDS) <= taken:
            ROUNDS.append({})
            PLACES.append(set())
        ROUNDS[taken][function.__name__] = function
        PLACES[taken].add(of)
        return function

    return add


@pytest.fixture(autouse=True)
def some_events(system: System) -> None:
    """Events in the log, where a reset took them: enough for drift to count, and one that is not valid."""
    shard = system.partition(1)
    client = system.profiles.client
    if not client.hlen("{drift}:counts") or not client.hlen(f"{system.profiles.tag(shard)}:dead"):
        system.send_events(system.events[:300])
        system.send([(b"1", b"not JSON", shard)])
    system.wait_for_drift()
    # A row that is published while `restored` copies the keys would go back to the older one, and stay so.
    system.wait_for_items()


def found(system: System, sample: int = 0, wait_s: float = 60.0) -> Verified:
    return verify(system.settings, wait_s=wait_s, sample=sample, progress=lambda what, share: None)


@contextmanager
def restored(system: System) -> Iterator[None]:
    """Put all keys of Redis back as they were, except those that the stream itself goes on changing."""
    client = system.profiles.client
    kept = {key: client.dump(key) for key in client.scan_iter(count=1000)}
    try:
        yield
    finally:
        for key in list(client.scan_iter(count=1000)):
            if key not in kept:
                client.delete(key)
        for key, value in kept.items():
            if client.dump(key) != value:
                client.restore(key, 0, value, replace=True)


def user(system: System) -> tuple[int, str]:
    """A user, and the tag of the user's shard."""
    userid = system.events[0].userid
    return userid, system.profiles.tag(system.partition(userid))


def flipped(value: bytes, place: int = -1) -> bytes:
    """The value with one bit changed."""
    changed = bytearray(value)
    changed[place] ^= 1
    return bytes(changed)


def rows(system: System) -> OnlineRows:
    return OnlineRows(system.profiles.client, system.settings.feast.project)


@tampering("user")
def a_number_of_a_profile(system: System) -> str:
    userid, tag = user(system)
    client, key = system.profiles.client, f"{tag}:profile:{userid}"
    fields = msgpack.unpackb(client.get(key))
    fields[2] += 1
    client.set(key, msgpack.packb(fields))
    return f"profile and seen filter of user {userid}"


@tampering("user")
def a_bit_of_a_profile(system: System) -> str:
    userid, tag = user(system)
    client, key = system.profiles.client, f"{tag}:profile:{userid}"
    client.set(key, flipped(client.get(key), 0))
    return f"profile and seen filter of user {userid}"


@tampering("user")
def a_bit_of_a_seen_filter(system: System) -> str:
    userid, tag = user(system)
    client, key = system.profiles.client, f"{tag}:seen:{userid}"
    field, value = next(iter(client.hgetall(key).items()))
    client.hset(key, field, flipped(value))
    return f"profile and seen filter of user {userid}"


@tampering()
def a_bit_of_the_attributes_of_a_user(system: System) -> str:
    userid, tag = user(system)
    client, key = system.profiles.client, f"{tag}:users"
    client.hset(key, str(userid), flipped(client.hget(key, str(userid))))
    return f"attributes of user {userid}"


@tampering()
def the_attributes_of_a_user_who_does_not_exist(system: System) -> str:
    system.profiles.client.hset(f"{system.profiles.tag(2)}:users", "654321", b"\0\0\0")
    return "attributes of user 654321 in shard 2"


@tampering("counter")
def a_number_of_an_item_counter(system: System) -> str:
    client, key = system.profiles.client, f"{system.profiles.tag(2)}:items"
    itemid, value = next(iter(client.hgetall(key).items()))
    counter = msgpack.unpackb(value)
    counter[4][0][1] += 1
    client.hset(key, itemid, msgpack.packb(counter))
    return f"item {int(itemid)} in shard 2"


@tampering("counter")
def a_bit_of_an_item_counter(system: System) -> str:
    client, key = system.profiles.client, f"{system.profiles.tag(2)}:items"
    itemid, value = next(iter(client.hgetall(key).items()))
    client.hset(key, itemid, flipped(value, 0))
    return f"item {int(itemid)} in shard 2"


@tampering()
def a_count_of_dead_letters(system: System) -> str:
    shard = system.partition(1)
    client, key = system.profiles.client, f"{system.profiles.tag(shard)}:dead"
    client.hincrby(key, next(iter(client.hgetall(key))), 1)
    return f"dead letters of shard {shard}"


def change_row(system: System, key: bytes) -> None:
    client = system.profiles.client
    for field, packed in sorted(client.hgetall(key).items()):
        value = Value()
        if not field.startswith(b"_ts") and value.ParseFromString(packed) and value.WhichOneof("val") == "int64_val":
            value.int64_val += 1
            client.hset(key, field, value.SerializeToString())
            return
    raise AssertionError("no number in the row")


@tampering("row")
def a_number_of_the_feature_row_of_a_user(system: System) -> str:
    userid, _ = user(system)
    change_row(system, rows(system).key("userid", userid))
    return f"feature row of user {userid}"


@tampering()
def a_number_of_the_feature_row_of_an_item(system: System) -> str:
    itemid = system.catalogue_items()[0]
    change_row(system, rows(system).key("itemid", itemid))
    return f"feature row of item {itemid}"


@tampering("row")
def the_time_of_a_feature_row(system: System) -> str:
    userid, _ = user(system)
    client, key = system.profiles.client, rows(system).key("userid", userid)
    client.hset(key, "_ts:user", flipped(client.hget(key, "_ts:user"), 1))
    return f"feature row of user {userid}"


@tampering()
def a_feature_row_of_a_user_without_a_profile(system: System) -> str:
    client, stored = system.profiles.client, rows(system)
    client.copy(stored.key("userid", user(system)[0]), stored.key("userid", 555_555))
    return "feature row of user 555555"


@tampering()
def a_feature_row_of_an_item_that_is_not_in_the_catalogue(system: System) -> str:
    client, stored = system.profiles.client, rows(system)
    client.copy(stored.key("itemid", system.catalogue_items()[0]), stored.key("itemid", 444_444))
    return "feature row of item 444444"


@tampering()
def a_key_that_belongs_to_nothing(system: System) -> str:
    key = f"{system.profiles.tag(3)}:unknown"
    system.profiles.client.set(key, "1")
    return f"key {key}"


@tampering()
def a_profile_in_the_shard_of_another(system: System) -> str:
    userid, tag = user(system)
    other = system.profiles.tag((system.partition(userid) + 1) % system.settings.kafka.partitions)
    system.profiles.client.copy(f"{tag}:profile:{userid}", f"{other}:profile:{userid}")
    return f"key {other}:profile:{userid}"


@tampering("catalogue")
def a_letter_of_the_catalogue(system: System) -> str:
    client = system.profiles.client
    items = msgpack.unpackb(client.get(CATALOGUE))
    items[0][1] += "x"
    client.set(CATALOGUE, msgpack.packb(items))
    return f"item {items[0][0]} in the catalogue"


@tampering("catalogue")
def a_bit_of_the_catalogue(system: System) -> str:
    client = system.profiles.client
    client.set(CATALOGUE, flipped(client.get(CATALOGUE), 0))
    return "the catalogue"


@tampering()
def the_counters_of_the_other_shards(system: System) -> str:
    client = system.profiles.client
    counters = msgpack.unpackb(client.hget(OTHERS, "4"))
    counters[0][1] += 1
    client.hset(OTHERS, "4", msgpack.packb(counters))
    return f"counters of item {counters[0][0]} in the shards other than 4"


@tampering()
def a_figure_of_the_snapshot(system: System) -> str:
    change_json(system, SNAPSHOT, lambda snapshot: snapshot.update(users=snapshot["users"] + 1))
    return "the snapshot's figures"


def change_json(system: System, key: str, change: Callable[[dict[str, Any]], None], field: str | None = None) -> None:
    client = system.profiles.client
    value = json.loads(client.hget(key, field) if field else client.get(key))
    change(value)
    client.hset(key, field, json.dumps(value)) if field else client.set(key, json.dumps(value))


@tampering("run")
def a_figure_of_the_live_run(system: System) -> str:
    change_json(system, RUN, lambda run: run.update(quality=run["quality"] + 1e-6))
    return "the live run"


@tampering("run")
def the_version_of_the_live_run(system: System) -> str:
    change_json(system, RUN, lambda run: run.update(version=9999))
    return "ml_rec/model.onnx of version 9999"


@tampering("run")
def a_number_of_the_reference(system: System) -> str:
    run = Published(system.profiles.client).run()
    assert run is not None

    def change(reference: dict[str, Any]) -> None:
        reference["quality"]["auc"] = 0.123

    change_json(system, REFERENCE, change, run.run)
    return "reference of the live run"


def change_counts(system: System, change: Callable[[dict[str, Any]], None]) -> str:
    partition = next(iter(system.profiles.client.hgetall("{drift}:counts"))).decode()
    change_json(system, "{drift}:counts", change, partition)
    return f"counts of drift in partition {partition}: "


@tampering("drift")
def the_events_that_drift_counted(system: System) -> str:
    return change_counts(system, lambda counts: counts.update(events=counts["events"] - 1)) + "events of "


@tampering("drift")
def the_last_offset_that_drift_counted(system: System) -> str:
    return change_counts(system, lambda counts: counts.update(last=counts["last"] - 1))


@tampering("drift")
def a_last_offset_beyond_the_log(system: System) -> str:
    return change_counts(system, lambda counts: counts.update(last=10**9)) + "last offset"


@tampering("drift")
def a_bin_of_a_feature_that_drift_counted(system: System) -> str:
    def change(counts: dict[str, Any]) -> None:
        counts["series"]["user_log_n"][0] += 1

    return change_counts(system, change) + "events of user_log_n"


@tampering("drift")
def the_labels_that_drift_counted(system: System) -> str:
    def change(counts: dict[str, Any]) -> None:
        bins = counts["series"]["label"]
        bins[0], bins[1] = bins[0] + 1, bins[1] - 1

    return change_counts(system, change) + "label"


@pytest.mark.parametrize("round_of", ROUNDS, ids=range(len(ROUNDS)))
def test_what_was_tampered_with_in_redis_is_reported_by_name(system: System, round_of: dict[str, Tampering]) -> None:
    with restored(system):
        wanted = {name: tamper(system) for name, tamper in round_of.items()}
        differing = found(system).differing
    missing = {name: start for name, start in wanted.items() if not any(each.startswith(start) for each in differing)}
    assert missing == {}, differing
    others = [each for each in differing if not each.startswith(tuple(wanted.values()))]
    assert len(others) <= 11, others


@pytest.mark.parametrize("name", ["applied", "served"])
def test_a_position_that_was_taken_back_is_reported_with_its_shard(system: System, name: str) -> None:
    shard = next(shard for shard, at in enumerate(system.profiles.applied()) if at is not None and at > 0)
    with restored(system), pytest.raises(Unreachable, match=rf"1 events behind after 1 s \(shard {shard} by 1\)"):
        system.profiles.client.decr(f"{system.profiles.tag(shard)}:{name}")
        found(system, wait_s=1.0)


@pytest.fixture
def elastic(system: System) -> Iterator[tuple[Elasticsearch, str]]:
    """A client, and the live run's index; the index is whole again afterwards."""
    run = Published(system.profiles.client).run()
    assert run is not None
    with Elasticsearch(system.settings.elasticsearch.url) as client:
        yield client, run.index
        client.indices.delete(index=run.index)
        publish_run(system.settings, run.run, lambda *_: None, force=True)


def test_what_was_tampered_with_in_elasticsearch_is_reported_by_name(
    system: System, elastic: tuple[Elasticsearch, str]
) -> None:
    client, index = elastic
    one, two, three, four, five = system.catalogue_items()[:5]
    folder = runs.folder(system.settings)
    vectors = dict(zip(*(column.tolist() for column in runs.item_vectors(folder)), strict=True))
    client.update(index=index, id=str(one), doc={"title": "another"})
    client.update(index=index, id=str(two), doc={"prior": 0.5})
    client.update(index=index, id=str(three), doc={"vector": [vectors[three][0] + 1e-3, *vectors[three][1:]]})
    client.delete(index=index, id=str(four))
    client.update(index=index, id=str(five), doc={"genres": []})
    client.index(index=index, id="987654", document={"itemid": 987_654, "title": "stray"})
    client.indices.refresh(index=index)
    client.indices.delete_alias(index=index, name=system.settings.elasticsearch.alias)
    differing = found(system).differing
    wanted = {
        *(f"document {itemid} of {index}" for itemid in (one, two, four, five, 987_654)),
        f"vector of document {three} of {index}",
        f"alias {system.settings.elasticsearch.alias}",
    }
    assert wanted <= differing.keys(), differing
    assert differing.keys() - wanted <= {f"search in {index}", f"count of {index}"}


@pytest.mark.parametrize("file", ["model.onnx", "config.pbtxt"])
def test_a_bit_of_a_file_that_triton_serves_is_reported_by_name(system: System, file: str) -> None:
    run = Published(system.profiles.client).run()
    assert run is not None
    folder = system.settings.model_repository / "ml_rec"
    path = folder / str(run.version) / file if file == "model.onnx" else folder / file
    before = path.read_bytes()
    path.write_bytes(flipped(before))
    try:
        differing = found(system).differing
    finally:
        path.write_bytes(before)
    assert f"ml_rec/{file} of version {run.version}" in differing, differing


def test_a_fold_with_a_mistake_is_found_by_the_oracle_though_verify_folds_with_it_too(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    def quiet(*_: object) -> None:
        return None

    newest = runs.folder(system.settings).name
    right = features.profile._count

    def mistaken(profile: Any, item: Any, rating: int, by: int) -> None:
        right(profile, item, rating, by)
        if rating == 4:
            profile.likes -= by

    with monkeypatch.context() as patch:
        patch.setattr(features.profile, "_count", mistaken)
        publish_run(system.settings, newest, quiet, reset=True)
        with_mistake = found(system, sample=200)
    without = found(system, sample=200)
    publish_run(system.settings, newest, quiet, reset=True)
    assert with_mistake.differing
    assert all(name.startswith("sample: ") for name in with_mistake.differing), with_mistake.differing
    userid, _ = user(system)
    assert f"sample: profile of user {userid}" in with_mistake.differing
    assert f"sample: feature row of user {userid}" in with_mistake.differing
    assert f"profile and seen filter of user {userid}" in without.differing


def test_nothing_differs_and_everything_is_counted(system: System) -> None:
    system.send_events(system.events[:300])
    system.wait_for_drift()
    result = found(system, sample=1000)
    assert result.differing == {}
    items = len(Published(system.profiles.client).catalogue())
    assert result.items == result.documents == items
    assert result.attributes == len({event.userid for event in system.events})
    assert result.sampled >= items + result.attributes
    assert result.drift_events > 0


def test_a_reset_that_was_cut_off_is_named_instead_of_its_differences(system: System) -> None:
    with restored(system), pytest.raises(NotPublished, match="publish --reset` again"):
        system.profiles.client.set(RESETTING, "")
        found(system)
