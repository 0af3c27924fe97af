"""Nothing is lost, nothing counts twice, nothing bad is silent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest
from kafka import KafkaAdminClient, TopicPartition

import servers
from cli import background
from features import Event
from producers import Pace, Recording, Report, dead_events, replay
from stores import Log, LogError
from stores.kafka.client import connected
from tests.movielens import encode
from tests.polling import until
from tests.system.conftest import System


def profile_of(system: System, userid: int) -> tuple:
    profile, seen, _, _ = system.profiles.profile(userid)
    assert profile is not None
    return profile.n, profile.likes, [(ts, itemid, rating) for ts, itemid, rating in profile.recent], sorted(seen)


def test_the_same_event_sent_twice_counts_once(system: System) -> None:
    event = Event(700_001, system.catalogue_items()[0], 5, 1000)
    system.send_events([event, event])
    system.wait()
    system.send_events([event])
    system.wait()
    assert profile_of(system, 700_001) == (1, 1, [(1000, event.itemid, 5)], [event.itemid])


def test_a_late_event_takes_its_place_in_time(system: System) -> None:
    first, second = system.catalogue_items()[:2]
    system.send_events([Event(700_002, first, 5, 2000)])
    system.wait()
    system.send_events([Event(700_002, second, 2, 1000)])
    system.wait()
    assert profile_of(system, 700_002) == (2, 1, [(1000, second, 2), (2000, first, 5)], sorted([first, second]))


def test_a_later_rating_replaces_the_earlier_whatever_comes_first(system: System) -> None:
    item = system.catalogue_items()[0]
    for userid, order in ((700_003, (1000, 2000)), (700_004, (2000, 1000))):
        for ts in order:
            system.send_events([Event(userid, item, 5 if ts == 1000 else 1, ts)])
    system.wait()
    assert profile_of(system, 700_003) == profile_of(system, 700_004) == (1, 0, [(2000, item, 1)], [item])


def test_bad_events_go_to_the_dead_with_their_reason_and_good_ones_between_them_count(system: System) -> None:
    item = system.catalogue_items()[0]
    good = [Event(700_100 + number, item, 4, 1000 + number) for number in range(20)]
    before = Counter(system.profiles.dead())
    dead_before = sum(1 for _ in dead_events(system.settings.kafka))
    bad = [
        (b"1", b"\xff\xfe", "value is not JSON"),
        (b"1", None, "value is not JSON"),
        (None, encode(Event(1, item, 5, 1))[1], "key is not the userid in ASCII digits"),
        (b"1", json.dumps({"userid": 1, "itemid": item, "rating": 5}).encode(), "ts is missing"),
        (b"1", b"[1, 2]", "an event is an object with userid, itemid, rating and ts"),
        (b"1", json.dumps({"userid": 1, "itemid": 0, "rating": 5, "ts": 1}).encode(), "itemid must be a whole number"),
        (b"1", json.dumps({"userid": 1, "itemid": item, "rating": 9, "ts": 1}).encode(), "rating must be a whole"),
        (b"1", json.dumps({"userid": 10**30, "itemid": item, "rating": 5, "ts": 1}).encode(), "userid must be a whole"),
    ]
    partition = system.partition(1)
    records = [(*encode(event), system.partition(event.userid)) for event in good]
    for place, (key, value, _) in enumerate(bad):
        records.insert(2 * place, (key, value, partition))
    wrong = encode(good[0])
    records.append((*wrong, (system.partition(good[0].userid) + 1) % system.settings.kafka.partitions))
    reasons = [reason for _, _, reason in bad] + ["event is in another partition than its key says"]
    system.send(records)
    system.wait()
    for event in good:
        assert profile_of(system, event.userid)[0] == 1
    added = Counter(system.profiles.dead()) - before
    assert sum(added.values()) == len(reasons)
    dead = list(dead_events(system.settings.kafka))[dead_before:]
    assert sorted(letter.reason[:20] for letter in dead) == sorted(reason[:20] for reason in reasons)
    by_position = {(letter.partition, letter.offset): letter for letter in dead}
    for record in system.log():
        letter = by_position.pop((record.partition, record.offset), None)
        if letter is not None:
            assert (letter.key, letter.value) == (record.key, record.value)
            assert letter.appended == record.created
    assert not by_position
    assert system.verify().differences == 0


def test_a_restarted_worker_goes_on_where_the_state_stands(system: System) -> None:
    servers.stop(system.settings, ["workers"])
    item = system.catalogue_items()[1]
    system.send_events([Event(700_200 + number, item, 5, 1000) for number in range(50)])
    servers.start(system.settings, ["workers"])
    system.wait()
    assert all(profile_of(system, 700_200 + number)[0] == 1 for number in range(50))
    assert system.verify().differences == 0


def test_redelivered_events_change_nothing(system: System) -> None:
    system.send_events(system.events[:20])
    system.wait()
    before = (system.profiles.applied(), [system.profiles.shard_counters(shard) for shard in range(8)])
    servers.stop(system.settings, ["workers"])
    admin = connected(KafkaAdminClient, system.settings.kafka)
    _rewind(admin, system)
    admin.close()
    servers.start(system.settings, ["workers"])
    item = system.catalogue_items()[1]
    system.send_events([Event(700_300, item, 5, 1000)])
    system.wait()
    system.send_events([Event(700_300, item, 5, 1000)])
    system.wait()
    counted = [system.profiles.shard_counters(shard) for shard in range(8)]
    mine = system.partition(700_300)
    assert counted[:mine] + counted[mine + 1 :] == before[1][:mine] + before[1][mine + 1 :]
    assert counted[mine][item].n == before[1][mine][item].n + 1
    assert _redelivered(system) > 0
    assert system.verify().differences == 0


def _rewind(admin: KafkaAdminClient, system: System) -> None:
    """Have Kafka forget what the group has read, once its members are gone."""
    from kafka.structs import OffsetAndMetadata

    offsets = {
        TopicPartition(system.settings.kafka.topic, partition): OffsetAndMetadata(0, "", -1)
        for partition in range(system.settings.kafka.partitions)
    }
    admin.alter_group_offsets("reelstream", offsets)


def _redelivered(system: System) -> float:
    text = _metrics(system)
    return float(
        next(line.split()[1] for line in text.splitlines() if line.startswith("reelstream_events_redelivered_total"))
    )


def _metrics(system: System) -> str:
    import requests

    return requests.get(f"http://127.0.0.1:{system.settings.stream.metrics_port}/metrics", timeout=10).text


def test_an_offset_of_the_group_that_is_ahead_of_the_state_skips_nothing(system: System) -> None:
    system.wait()
    servers.stop(system.settings, ["workers"])
    userid, item = 700_400, system.catalogue_items()[2]
    system.send_events([Event(userid, item, 5, 1000)])
    admin = connected(KafkaAdminClient, system.settings.kafka)
    from kafka.structs import OffsetAndMetadata

    partition = system.partition(userid)
    log = Log(system.settings.kafka)
    end = log.ends()[partition]
    log.close()
    topic_partition = TopicPartition(system.settings.kafka.topic, partition)
    admin.alter_group_offsets("reelstream", {topic_partition: OffsetAndMetadata(end, "", -1)})
    admin.close()
    servers.start(system.settings, ["workers"])
    system.wait()
    assert profile_of(system, userid)[0] == 1


def test_a_worker_killed_in_the_middle_of_a_replay_loses_and_repeats_nothing(system: System) -> None:
    system.start_over()
    stopping = threading.Event()
    worker = servers.pid(system.settings, "worker-0")
    killer = threading.Timer(0.5, lambda: os.kill(worker, signal.SIGKILL))
    killer.start()
    done = replay(
        system.settings.kafka,
        Recording("tests", system.schema, system.events),
        pace=Pace.RATE,
        value=500.0,
        stopping=stopping,
        progress=lambda report: None,
    )
    killer.join()
    assert done.sent == len(system.events)
    found = system.verify()
    assert found.differences == 0, found.differing
    assert servers.pid(system.settings, "worker-0") != worker


def test_a_replay_stopped_and_started_again_sends_what_the_topic_lacks(system: System) -> None:
    system.start_over()

    def replayed() -> Report:
        recording = Recording("tests", system.schema, system.events)
        return replay(
            system.settings.kafka,
            recording,
            pace=Pace.MAX,
            stopping=threading.Event(),
            progress=lambda report: None,
        )

    assert replayed().sent == len(system.events)
    before = len(system.log())
    again = replayed()
    assert (again.sent, again.present) == (0, len(system.events))
    assert len(system.log()) == before
    with pytest.raises(LogError, match="replay of other data"):
        replay(
            system.settings.kafka,
            Recording("other", system.schema, system.events),
            pace=Pace.MAX,
            stopping=threading.Event(),
            progress=lambda report: None,
        )


def test_two_workers_share_the_partitions_and_hand_them_over_without_loss(system: System) -> None:
    items = system.catalogue_items()
    sent: list[Event] = []
    stopping = threading.Event()

    def send() -> None:
        while not stopping.is_set():
            batch = [Event(701_000 + len(sent) + n, items[n % len(items)], 1 + n % 5, 1000 + n) for n in range(20)]
            system.send_events(batch)
            sent.extend(batch)
            time.sleep(0.05)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        servers.up(system.settings, workers=2)
        held = _until_shared(system)
        assert sorted(held[0] + held[1]) == list(range(system.settings.kafka.partitions))
        time.sleep(1)
        servers.up(system.settings, workers=1)
        workers = [part.name for part in servers.status(system.settings) if part.name.startswith("worker-")]
        assert workers == ["worker-0"], "a worker that is not wanted is not missed"
        time.sleep(1)
    finally:
        stopping.set()
        sender.join()
    system.wait(60)
    assert all(profile_of(system, event.userid)[0] == 1 for event in sent)
    assert system.verify().differences == 0


def _until_shared(system: System) -> list[list[int]]:
    import requests

    def shared() -> list[list[int]]:
        ports = (system.settings.stream.metrics_port + index for index in range(2))
        answers = (requests.get(f"http://127.0.0.1:{port}/health", timeout=10).json() for port in ports)
        held = [answer["partitions"] for answer in answers]
        return held if all(held) and not set(held[0]) & set(held[1]) else []

    return until(shared, 60)


def test_the_last_line_of_a_worker_that_cannot_start_says_why(system: System) -> None:
    taken = str(system.settings.api.port)
    environment = {**os.environ, "REELSTREAM_STREAM__METRICS_PORT": taken}
    command = [sys.executable, "-m", "stream"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "worker ends" in last and taken in last and "already in use" in last


def test_a_second_replay_at_the_same_time_is_refused_in_one_line(system: System) -> None:
    command = [sys.executable, "-m", "cli", "replay", "--max"]
    before = len(system.log())
    with background.alone(system.settings):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.strip().startswith("error: a replay is already running")
    assert len(system.log()) == before
