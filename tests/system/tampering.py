"""Changes of the values that Redis stores, each with the name under which `reelstream verify` must report it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgpack
from feast.protos.feast.types.Value_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

import api.live
from features import Id, IdKind, id_text
from stores import Published
from stores.feast.online_rows import OnlineRows
from stores.redis.generations import prefix_of, project_of
from stores.redis.published import CATALOGUE, OTHERS, SCHEMA, SNAPSHOT
from stores.redis.published_runs import IDS, REFERENCE, RUN
from tests.polling import until
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
        # The API may have read what was changed, and leaves a store alone for a moment that failed because of it.
        time.sleep(2 * api.live.EVERY_S)
        until(lambda: makes_whole_lists(system))


def makes_whole_lists(system: System) -> bool:
    """Say whether a list is made with all stores."""
    answer = system.post("/ml/rec", {"userid": system.events[0].userid})
    return answer.status_code == 200 and not answer.json()["degraded"]


def require_events(system: System) -> None:
    """Have events in the log, where there are none: enough for drift to count, and one that is not valid."""
    shard = system.partition(system.events[0].userid)
    client = system.profiles.client
    if not client.hlen("{drift}:counts") or not client.hlen(f"{system.profiles.tag(shard)}:dead"):
        system.send_events(system.events[:300])
        system.send([(id_text(system.events[0].userid).encode(), b"not JSON", shard)])
    system.wait_for_drift()
    # A row that is published while `restored` copies the keys would go back to the older one, and stay so.
    system.wait_for_items()


def found(system: System, sample: int = 0, wait_s: float = 60.0) -> Verified:
    """Result of verify."""
    return verify(system.settings, wait_s=wait_s, sample=sample, progress=lambda what, share: None)


def require_reported(system: System, round_of: Mapping[str, Tampering]) -> None:
    """Change values and assert that each is reported by its name; they are restored afterwards."""
    with restored(system):
        wanted = {name: tamper(system) for name, tamper in round_of.items()}
        differing = found(system).differing
    missing = {name: start for name, start in wanted.items() if not any(each.startswith(start) for each in differing)}
    assert missing == {}, differing
    others = [each for each in differing if not each.startswith(tuple(wanted.values()))]
    assert len(others) <= 11, others


def user(system: System) -> tuple[Id, str]:
    """A user, and the tag of the user's shard."""
    userid = system.events[0].userid
    return userid, system.profiles.tag(system.partition(userid))


def flipped(value: bytes, place: int = -1) -> bytes:
    """The value with one bit changed."""
    changed = bytearray(value)
    changed[place] ^= 1
    return bytes(changed)


def rows(system: System) -> OnlineRows:
    profiles = system.profiles
    return OnlineRows(profiles.client, project_of(system.settings.feast.project, profiles.generation))


def key_of(system: System, name: str) -> str:
    """A key of what was published with the live state."""
    return prefix_of(system.profiles.generation) + name


def nobody(kind: IdKind, number: int) -> Id:
    """An id that nobody and nothing has."""
    return number if kind is IdKind.INTEGER else f"nobody {number}"


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
    userid = nobody(system.schema.user_ids, 654_321)
    system.profiles.client.hset(f"{system.profiles.tag(2)}:users", id_text(userid), b"\0\0\0")
    return f"attributes of user {userid} in shard 2"


@tampering("counter")
def a_number_of_an_item_counter(system: System) -> str:
    client, key = system.profiles.client, f"{system.profiles.tag(2)}:items"
    itemid, value = next(iter(client.hgetall(key).items()))
    counter = msgpack.unpackb(value)
    counter[3][0][1] += 1
    client.hset(key, itemid, msgpack.packb(counter))
    return f"item {itemid.decode()} in shard 2"


@tampering("counter")
def a_bit_of_an_item_counter(system: System) -> str:
    client, key = system.profiles.client, f"{system.profiles.tag(2)}:items"
    itemid, value = next(iter(client.hgetall(key).items()))
    client.hset(key, itemid, flipped(value, 0))
    return f"item {itemid.decode()} in shard 2"


@tampering()
def a_count_of_dead_letters(system: System) -> str:
    shard = system.partition(system.events[0].userid)
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
def the_time_of_the_feature_row_of_an_item(system: System) -> str:
    itemid = system.catalogue_items()[1]
    later = Timestamp(seconds=int(time.time()) + 86_400).SerializeToString()
    system.profiles.client.hset(rows(system).key("itemid", itemid), "_ts:item", later)
    return f"feature row of item {itemid}"


@tampering()
def a_feature_row_of_a_user_without_a_profile(system: System) -> str:
    client, stored = system.profiles.client, rows(system)
    userid = nobody(system.schema.user_ids, 555_555)
    client.copy(stored.key("userid", user(system)[0]), stored.key("userid", userid))
    return f"feature row of user {userid}"


@tampering()
def a_feature_row_of_an_item_that_is_not_in_the_catalogue(system: System) -> str:
    client, stored = system.profiles.client, rows(system)
    itemid = nobody(system.schema.item_ids, 444_444)
    client.copy(stored.key("itemid", system.catalogue_items()[0]), stored.key("itemid", itemid))
    return f"feature row of item {itemid}"


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
    client, key = system.profiles.client, key_of(system, CATALOGUE)
    items = msgpack.unpackb(client.get(key))
    items["rows"][0][1] += "x"
    client.set(key, msgpack.packb(items))
    return f"item {items['rows'][0][0]} in the catalogue"


@tampering("catalogue")
def a_bit_of_the_catalogue(system: System) -> str:
    client, key = system.profiles.client, key_of(system, CATALOGUE)
    client.set(key, flipped(client.get(key), 0))
    return "the catalogue"


@tampering()
def the_counters_of_the_other_shards(system: System) -> str:
    client, key = system.profiles.client, key_of(system, OTHERS)
    counters = msgpack.unpackb(client.hget(key, "4"))
    counters["rows"][0][1] += 1
    client.hset(key, "4", msgpack.packb(counters))
    return f"counters of item {counters['rows'][0][0]} in the shards other than 4"


@tampering()
def a_figure_of_the_snapshot(system: System) -> str:
    change_json(system, key_of(system, SNAPSHOT), lambda snapshot: snapshot.update(users=snapshot["users"] + 1))
    return "the snapshot's figures"


@tampering()
def a_word_of_the_schema(system: System) -> str:
    change_json(system, key_of(system, SCHEMA), lambda schema: schema["dataset"].update(name="another"))
    return "the schema"


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


@tampering("run")
def the_order_of_the_ids_of_the_live_run(system: System) -> str:
    run = Published(system.profiles.client).run()
    assert run is not None

    def change(ids: dict[str, Any]) -> None:
        ids["items"][0], ids["items"][1] = ids["items"][1], ids["items"][0]

    change_json(system, IDS, change, run.run)
    return "ids of the live run"


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
