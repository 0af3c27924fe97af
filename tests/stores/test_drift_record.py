"""A copy of what drift has found."""

from __future__ import annotations

import pytest

from drift.records import Acknowledgement
from settings import Settings
from stores import DriftStore, connect
from stores.redis.connection import Client
from stores.redis.drift import TAG
from stores.redis.drift_record import HASHES, LISTS, TEXTS, read_record, write_record


@pytest.fixture(name="client")
def _client(redis: Settings) -> Client:
    client = connect(redis.redis)
    client.flushall()
    return client


def test_findings_read_back_as_they_were_and_open_alarms_and_counts_do_not(client: Client) -> None:
    for name in TEXTS:
        client.set(f"{TAG}:{name}", f'{{"{name}": "é"}}')
    for name in HASHES:
        client.hset(f"{TAG}:{name}", mapping={"a": "1", "b": name})
    for name in LISTS:
        client.rpush(f"{TAG}:{name}", "first", name)
    wanted = {key: client.dump(key) for key in client.keys(f"{TAG}:*")}
    assert len(wanted) == len(TEXTS) + len(HASHES) + len(LISTS)
    client.hset(f"{TAG}:open", "alarm", "{}")
    client.set(f"{TAG}:position", 7)
    record = read_record(client)
    client.flushall()
    client.set(f"{TAG}:now", "of another system")
    client.rpush(f"{TAG}:timeline", "of another system")
    write_record(client, record)
    assert {key: client.dump(key) for key in client.keys(f"{TAG}:*")} == wanted


def test_findings_of_nothing_leave_nothing(client: Client) -> None:
    record = read_record(client)
    DriftStore(client).acknowledge(Acknowledgement(cause="label", note="known", wall_ts=1.0, alarms=[], level=0))
    write_record(client, record)
    assert client.keys("*") == []


def test_an_acknowledgement_is_in_the_copy(client: Client) -> None:
    note = Acknowledgement(cause="label", note="known", wall_ts=1.0, alarms=["a"], level=1)
    DriftStore(client).acknowledge(note)
    record = read_record(client)
    client.flushall()
    write_record(client, record)
    assert DriftStore(client).acknowledged() == {"label": note}
