"""Dead events can be looked at and sent again."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest
from kafka.errors import MessageSizeTooLargeError

from features import Event, encode
from producers import dead_events, resend
from stores import abandon, producer
from tests.system.conftest import System


def command(*words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "cli", "dead", *words]
    return subprocess.run(line, check=False, capture_output=True, text=True, timeout=60)


def test_a_dead_event_is_listed_with_its_position_and_reason(system: System) -> None:
    system.send([(b"5", b"not JSON \xff", system.partition(5))])
    system.wait()
    listed = json.loads(command("list", "--json", "--reason", "not JSON", "--limit", "100000").stdout)
    newest = listed["shown"][-1]
    assert newest["value"] == "not JSON \xff"
    assert newest["partition"] == system.partition(5)
    one = json.loads(command("list", "--json", "--at", f"{newest['partition']}:{newest['offset']}").stdout)
    assert one["events"] == 1
    assert "value is not JSON" in command("list", "--reason", "not JSON").stdout


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
        assert resend(system.settings.kafka, lambda each: each.key == b"700777") >= 1
        system.wait()
    profile = system.profiles.profile(event.userid)[0]
    assert profile is not None
    assert profile.n == 1
    assert system.verify().differences == 0


def test_resending_asks_which(system: System) -> None:
    refused = command("resend")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: say which")
    assert command("list", "--at", "three").stderr.startswith("error: --at: must be PARTITION:OFFSET")
