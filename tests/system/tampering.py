"""Changes of the values that Redis stores, each with the name under which `reelstream verify` must report it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import msgpack
from feast.protos.feast.types.Value_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from stores import Published
from stores.feast.online_rows import OnlineRows
from stores.redis.published import CATALOGUE, OTHERS, REFERENCE, RUN, SNAPSHOT
from tests.system.conftest import System

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
    counter[3][0][1] += 1
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
def the_time_of_the_feature_row_of_an_item(system: System) -> str:
    itemid = system.catalogue_items()[1]
    later = Timestamp(seconds=int(time.time()) + 86_400).SerializeToString()
    system.profiles.client.hset(rows(system).key("itemid", itemid), "_ts:item", later)
    return f"feature row of item {itemid}"


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
    items["rows"][0][1] += "x"
    client.set(CATALOGUE, msgpack.packb(items))
    return f"item {items['rows'][0][0]} in the catalogue"


@tampering("catalogue")
def a_bit_of_the_catalogue(system: System) -> str:
    client = system.profiles.client
    client.set(CATALOGUE, flipped(client.get(CATALOGUE), 0))
    return "the catalogue"


@tampering()
def the_counters_of_the_other_shards(system: System) -> str:
    client = system.profiles.client
    counters = msgpack.unpackb(client.hget(OTHERS, "4"))
    counters["rows"][0][1] += 1
    client.hset(OTHERS, "4", msgpack.packb(counters))
    return f"counters of item {counters['rows'][0][0]} in the shards other than 4"


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
