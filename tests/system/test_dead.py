"""Dead events can be looked at and sent again."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import pytest
import requests
from kafka import KafkaAdminClient
from kafka.errors import MessageSizeTooLargeError

import servers
from features import Event
from producers import dead_events, resend
from stores import abandon, producer
from stores.kafka.client import connected
from stores.kafka.dead_letters import ROOM_VALID_S
from stores.kafka.topics import config_of, set_config
from tests.commands import command, in_own_process, refuse
from tests.movielens import encode
from tests.poison import MIB, send_raw
from tests.polling import until
from tests.system.conftest import System


def test_a_dead_event_is_listed_with_its_position_and_reason(system: System) -> None:
    system.send([(b"5", b"not JSON \xff", system.partition(5))])
    system.wait()
    listed = json.loads(command("dead", "list", "--json", "--reason", "not JSON", "--limit", "100000").stdout)
    newest = listed["shown"][-1]
    assert newest["value"] == "not JSON \xff"
    assert newest["partition"] == system.partition(5)
    one = json.loads(command("dead", "list", "--json", "--at", f"{newest['partition']}:{newest['offset']}").stdout)
    assert one["events"] == 1
    assert "value is not JSON" in in_own_process("dead", "list", "--reason", "not JSON").stdout


def test_events_as_large_as_the_log_takes_stop_nothing_and_are_filed_whole(system: System) -> None:
    good = Event(700_779, system.catalogue_items()[0], 5, 1000)
    values = [random.Random(number).randbytes(1_000_000) for number in range(30)]
    system.send([(b"5", value, system.partition(good.userid)) for value in values])
    system.send_events([good])
    system.wait()
    assert system.profiles.profile(good.userid)[0] is not None
    assert [each.value for each in dead_events(system.settings.kafka) if len(each.value or b"") == 1_000_000] == values


def test_a_message_of_10_mb_is_refused_by_the_log_and_stops_nothing(system: System) -> None:
    event = Event(700_778, system.catalogue_items()[0], 5, 1000)
    client = producer(system.settings.kafka, max_request_size=2**24)
    sent = client.send(system.settings.kafka.topic, value=bytes(10 * 2**20), partition=system.partition(event.userid))
    with pytest.raises(MessageSizeTooLargeError):
        sent.get(timeout=30)
    abandon(client)
    system.send_events([event])
    system.wait()
    assert system.profiles.profile(event.userid)[0] is not None


def test_an_event_in_the_wrong_partition_counts_once_it_is_sent_again(system: System) -> None:
    event = Event(700_777, system.catalogue_items()[0], 5, 1000)
    wrong = (system.partition(event.userid) + 1) % system.settings.kafka.partitions
    system.send([(*encode(event), wrong)])
    system.wait()
    assert system.profiles.profile(event.userid)[0] is None
    dead = [each for each in dead_events(system.settings.kafka) if each.key == b"700777"]
    assert [(each.partition, each.value) for each in dead] == [(wrong, encode(event)[1])]
    for _ in range(2):
        assert resend(system.settings.kafka, lambda each: each.key == b"700777").sent >= 1
        system.wait()
    profile = system.profiles.profile(event.userid)[0]
    assert profile is not None
    assert profile.n == 1
    assert system.verify().differences == 0


def test_resending_asks_which(system: System) -> None:
    assert refuse("dead", "resend").startswith("error: select letters")
    assert in_own_process("dead", "list", "--at", "three").stderr.startswith("error: --at: must be PARTITION:OFFSET")


Headers = Sequence[tuple[str, bytes | None]]


def send_one(system: System, partition: int, value: bytes | None, key: bytes = b"1", headers: Headers = ()) -> int:
    """Send one record, compressed, as a client may that is not ours; its offset."""
    kafka = system.settings.kafka
    return send_raw(kafka, kafka.topic, partition, key, value, headers, compression="gzip")


def letter_at(system: System, partition: int, offset: int):
    found = [
        each
        for each in dead_events(system.settings.kafka)
        if each.readable and (each.partition, each.offset) == (partition, offset)
    ]
    return found[0] if found else None


def test_one_2_kb_record_of_2_mib_of_zeros_stops_nothing(system: System) -> None:
    good = Event(700_780, system.catalogue_items()[0], 5, 1000)
    partition = system.partition(good.userid)
    offset = send_one(system, partition, bytes(2 * MIB), key=b"1")
    system.send_events([good])
    system.wait(10)
    assert system.profiles.profile(good.userid)[0] is not None
    letter = letter_at(system, partition, offset)
    assert letter is not None
    assert letter.value == bytes(2 * MIB)
    assert not letter.cut


@pytest.mark.parametrize("part", ["key", "value", "headers"])
def test_a_record_larger_than_any_dead_letter_is_truncated_and_stops_nothing(system: System, part: str) -> None:
    good = Event(700_781, system.catalogue_items()[0], 1 + len(part) % 5, 1000)
    partition, large = system.partition(good.userid), bytes(12 * MIB)
    record = {"key": b"1", "value": b"no JSON", "headers": [("a", b"b")]}
    record |= {part: [("large", large)] if part == "headers" else large}
    offset = send_one(system, partition, **record)
    system.send_events([good])
    system.wait(20)
    letter = letter_at(system, partition, offset)
    assert letter is not None
    assert set(letter.cut) == {part}
    assert letter.cut[part].length >= 12 * MIB
    where = f"{partition}:{offset}"
    (shown,) = json.loads(command("dead", "list", "--json", "--at", where).stdout)["shown"]
    assert set(shown["truncated"]) == {part}
    if part != "headers":
        assert "truncated" in command("dead", "list", "--at", where).stdout
        reason = refuse("dead", "resend", "--at", where)
        assert f"error: {where} was not sent: it is truncated: its {part} had 12,582,912 bytes" in reason
        assert f"{partition}:{offset}" in reason


def test_letters_of_the_old_form_and_junk_are_told_apart(system: System) -> None:
    item = system.catalogue_items()[1]
    key, value = encode(Event(700_782, item, 5, 1000))
    old = {"partition": 0, "offset": 10**9, "reason": "was wrong", "key": key.decode(), "value": value.decode()}
    topic = system.settings.kafka.dead_topic
    with closing(producer(system.settings.kafka)) as client:
        client.send(topic, key=b"0-1000000000", value=json.dumps(old).encode()).get(timeout=10)
        for junk in (b"\xff", b"[]", b'{"partition": null}', b"[" * 100_000):
            client.send(topic, key=b"x", value=junk).get(timeout=10)
        client.send(topic, key=b"tombstone", value=None).get(timeout=10)
        client.send(topic, key=b"x", value=b"", headers=[("schema", b"9")]).get(timeout=10)
        client.send(topic, key=b"x", value=b"", headers=[("schema", b"2"), ("offset", b"no")]).get(timeout=10)
    found = list(dead_events(system.settings.kafka))
    assert [each.value for each in found if each.reason == "was wrong"] == [value]
    junk_found = [each for each in found if not each.readable]
    assert len(junk_found) == 7
    assert command("dead", "list", "--reason", "is not a dead letter").returncode == 0
    assert "is not a dead letter" in refuse("dead", "resend", "--reason", "is not a dead letter")
    assert resend(system.settings.kafka, lambda each: each.reason == "was wrong").sent == 1
    system.wait()
    assert system.profiles.profile(700_782)[0] is not None


def test_a_record_of_nothing_is_a_dead_letter_that_cannot_be_sent_again(system: System) -> None:
    partition = system.partition(5)
    offset = send_one(system, partition, None, headers=[("why", b"not")], key=b"5")
    system.wait()
    letter = letter_at(system, partition, offset)
    assert letter is not None
    assert (letter.key, letter.value, letter.headers) == (b"5", None, (("why", b"not"),))


@contextmanager
def dead_topic_takes(system: System, most: int) -> Iterator[None]:
    """The topic of dead letters takes batches of so many bytes at most."""
    topic = system.settings.kafka.dead_topic
    with closing(connected(KafkaAdminClient, system.settings.kafka)) as admin:
        set_config(admin, topic, max_message_bytes=str(most))
        until(lambda: config_of(admin, topic)["max.message.bytes"] == str(most))
        time.sleep(ROOM_VALID_S)
        try:
            yield
        finally:
            set_config(admin, topic, max_message_bytes=str(8 * MIB))
            until(lambda: config_of(admin, topic)["max.message.bytes"] == str(8 * MIB))
            time.sleep(ROOM_VALID_S)


def test_a_topic_of_dead_letters_that_takes_less_than_it_did_gets_what_it_takes(system: System) -> None:
    good = Event(700_783, system.catalogue_items()[0], 5, 1000)
    partition = system.partition(good.userid)
    value = random.Random(1).randbytes(100_000)
    with dead_topic_takes(system, 20_000):
        offsets = [send_one(system, partition, value, key=b"1") for _ in range(3)]
        system.send_events([good])
        system.wait(20)
    letters = [letter_at(system, partition, offset) for offset in offsets]
    assert all(letter is not None and letter.cut["value"].length == 100_000 for letter in letters)
    assert system.profiles.profile(good.userid)[0] is not None


def test_a_topic_that_takes_no_dead_letter_at_all_is_reported_and_stops_nothing(system: System) -> None:
    good = Event(700_784, system.catalogue_items()[0], 5, 1000)
    partition = system.partition(good.userid)
    with dead_topic_takes(system, 100):
        offset = send_one(system, partition, b"no JSON", key=b"1")
        system.send_events([good])
        system.wait(20)
    assert system.profiles.profile(good.userid)[0] is not None
    assert letter_at(system, partition, offset) is None
    worker = f"http://127.0.0.1:{system.settings.stream.metrics_port}"
    troubles = requests.get(f"{worker}/health", timeout=10).json()["troubles"]
    assert f"partition {partition} offset {offset}" in troubles["dead letters"]
    assert 'reelstream_troubles_total{kind="dead letters"}' in requests.get(f"{worker}/metrics", timeout=10).text
    assert any("dead letters" in part.detail for part in servers.status(system.settings) if part.name == "worker-0")
    assert system.verify().differences == 0
