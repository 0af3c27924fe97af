"""Kafka lost what the state was folded from: it is reported, ratings are refused, and `adopt` goes on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

import servers
from features import Event
from stores import delete_topics, ensure_topics
from stores.kafka.client import connected
from tests.commands import command, figures, in_own_process, refuse, succeed
from tests.movielens import encode
from tests.polling import until
from tests.system.conftest import System

pytestmark = [pytest.mark.usefixtures("own_state"), pytest.mark.long, pytest.mark.timeout(600)]

KEPT = 3
"""Users whose ratings the tests follow."""


def users(system: System) -> list[int]:
    return sorted({event.userid for event in system.events})[:KEPT]


def rate_some(system: System, ts: int) -> dict[int, dict[str, int]]:
    """Some users rate two items each, and the stream folds it; each user's last position."""
    positions = {}
    for userid in users(system):
        for item in system.rec(userid=userid, size=2)["item_list"]:
            positions[userid] = system.rate(userid, item["itemid"], 5, ts)
    system.wait()
    return positions


def lose_kafka(system: System) -> None:
    servers.down(system.settings)
    shutil.rmtree(system.settings.state / "data" / "kafka")
    servers.up(system.settings)


def stopped(system: System) -> dict[str, str]:
    return system.get("/health/ready").json().get("stopped") or {}


def seen(system: System) -> dict[int, int]:
    return {userid: system.get(f"/users/{userid}").json()["seen"] for userid in users(system)}


def test_a_lost_log_is_reported_ratings_are_refused_and_adopt_keeps_the_profiles(system: System) -> None:
    positions = rate_some(system, 2_000_000_000 - 10**9)
    before = seen(system)
    lose_kafka(system)
    userid, position = next(iter(positions.items()))
    partition = position["partition"]
    offset = max(each["offset"] for each in positions.values() if each["partition"] == partition)
    why = until(lambda: stopped(system).get(str(partition)), 5.0)
    assert (
        f"partition {partition}" in why
        and f"up to offset {offset} " in why
        and "ends at offset 0" in why
        and "reelstream adopt" in why
    )
    assert system.get("/health/ready").status_code == 503
    parts = {part.name: part for part in servers.status(system.settings)}
    assert not parts["worker-0"].healthy and not parts["api"].healthy
    assert "stopped: partition" in parts["worker-0"].detail and "ends at offset 0" in parts["worker-0"].detail
    told = command("status")
    assert told.returncode == 1 and "stopped: partition" in " ".join(told.stdout.split())
    answer = system.post("/ratings", {"userid": userid, "itemid": system.catalogue_items()[0], "rating": 5})
    assert answer.status_code == 503 and f"partition {partition}" in answer.json()["error"]
    assert "partition" in refuse("verify")
    answer = system.rec(userid=userid)
    assert answer["item_list"] and "stream" in answer["degraded"]
    page = system.get("/pages/data/stream?since=-1").json()["partitions"]
    assert page[partition]["stopped"] == why

    done = figures(in_own_process("adopt", "--json"))
    assert {each["partition"] for each in done["partitions"]} >= {partition}
    assert next(each for each in done["partitions"] if each["partition"] == partition)["lost_after"] == offset
    until(lambda: not stopped(system))
    assert seen(system) == before
    again = rate_some(system, 2_000_000_000 - 10**9 + 1)
    assert again[userid]["offset"] >= 0
    assert seen(system) == {user: n + 2 for user, n in before.items()}
    assert system.verify().differences == 0
    nothing = command("adopt")
    assert nothing.returncode == 0 and "nothing to adopt" in nothing.stdout


def test_an_older_copy_of_the_log_is_reported_and_what_it_holds_counts_once(system: System) -> None:
    kafka = system.settings.state / "data" / "kafka"
    rate_some(system, 1_000_000_000)
    servers.stop(system.settings, ["kafka"])
    shutil.copytree(kafka, kafka.with_name("kafka-copy"))
    servers.start(system.settings, ["kafka"])
    positions = rate_some(system, 1_000_000_001)
    before = seen(system)
    servers.stop(system.settings, ["kafka"])
    shutil.rmtree(kafka)
    kafka.with_name("kafka-copy").rename(kafka)
    servers.start(system.settings, ["kafka"])
    partition = next(iter(positions.values()))["partition"]

    def is_told() -> bool:
        why = stopped(system).get(str(partition), "")
        return "before the state" in why or "another log" in why

    # A look that began before the last ratings were folded, and waited for Kafka, tells an older position first.
    until(is_told, message=lambda: f"{stopped(system)}")
    succeed("adopt")
    until(lambda: not stopped(system))
    system.wait()
    assert seen(system) == before
    assert system.verify().differences == 0


def test_a_topic_created_again_under_a_running_worker_stops_it(system: System) -> None:
    positions = rate_some(system, 1_000_000_000)
    before = seen(system)
    delete_topics(system.settings.kafka)
    ensure_topics(system.settings.kafka)
    # More events than the state has folded, so that no offset is below what the state stands at.
    userid, position = next(iter(positions.items()))
    extra = [Event(userid, item, 4, 1_000_000_002) for item in system.catalogue_items()[: position["offset"] + 5]]
    system.send_events(extra)
    assert "another log" in until(lambda: stopped(system).get(str(position["partition"])), 30.0)
    succeed("adopt")
    until(lambda: not stopped(system))
    system.wait()
    rated = {event.itemid for event in extra}
    assert seen(system)[userid] >= max(before[userid], len(rated))
    assert system.verify().differences == 0


def test_events_missing_from_the_log_stop_their_partition_alone_and_are_named(system: System) -> None:
    rate_some(system, 1_000_000_000)
    servers.stop(system.settings, ["workers"])
    one = users(system)[0]
    partition = system.partition(one)
    applied = system.profiles.applied()[partition]
    assert applied is not None
    other = next(event.userid for event in system.events if system.partition(event.userid) != partition)
    items = system.catalogue_items()
    system.send_events([Event(one, item, 3, 1_000_000_003) for item in items[:4]])
    with closing(connected(KafkaAdminClient, system.settings.kafka)) as admin:
        admin.delete_records({TopicPartition(system.settings.kafka.topic, partition): applied + 3})
    servers.start(system.settings, ["workers"])
    why = until(lambda: stopped(system).get(str(partition)), 30.0)
    assert f"offset {applied}" in why and f"offset {applied + 3}" in why
    assert list(stopped(system)) == [str(partition)]
    system.rate(other, items[0], 5)
    (done,) = succeed("adopt")["partitions"]
    assert done["lost"] == [[applied + 1, applied + 2]] and done["next"] == applied + 3
    until(lambda: not stopped(system))
    system.wait()
    found = system.profiles.read_users([one])[one][1]
    assert {found[item] for item in items[2:4]} == {((1_000_000_003, 3),)}
    assert system.verify().differences == 0


@pytest.fixture
def transactional(system: System) -> Iterator[KafkaProducer]:
    client = connected(
        KafkaProducer, system.settings.kafka, acks="all", enable_idempotence=True, transactional_id="test"
    )
    client.init_transactions()
    yield client
    client.close()


@pytest.mark.parametrize("commit", [True, False])
def test_events_of_a_transaction_count_if_it_commits_and_its_marker_leaves_no_lag(
    system: System, transactional: KafkaProducer, commit: bool
) -> None:
    userid = users(system)[0]
    before, partition = seen(system)[userid], system.partition(userid)
    new = [item for item in system.catalogue_items() if item not in system.profiles.read_users([userid])[userid][1]][:3]
    for item in new:
        transactional.begin_transaction()
        key, value = encode(Event(userid, item, 5, 1_000_000_000))
        transactional.send(system.settings.kafka.topic, key=key, value=value, partition=partition)
        if commit:
            transactional.commit_transaction()
        else:
            transactional.flush()
            transactional.abort_transaction()
    # Every transaction takes two offsets, and the last is its marker.
    until(lambda: system.profiles.visible_offsets()[partition] == 2 * len(new) - 1)
    assert seen(system)[userid] == before + (len(new) if commit else 0)
    assert not stopped(system)
    found = system.verify()
    assert found.differences == 0 and found.events == (len(new) if commit else 0)
