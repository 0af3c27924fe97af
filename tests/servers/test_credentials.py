"""The stores ask for a password that only the owner of the state folder can read."""

from __future__ import annotations

import shutil
import socket
import stat
import struct
from pathlib import Path

import psutil
import pytest
import redis

import servers
from settings import Settings, load
from settings.local import secret, secret_file
from stores import Log, Unreachable, connect, ensure_topics, producer

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]


def test_redis_asks_everybody_for_a_password_that_up_made(settings: Settings) -> None:
    servers.up(settings, only=["redis"])
    password = secret(settings.state, "redis")
    assert len(password) == 64
    assert connect(settings.redis).ping()
    assert connect(load().redis).ping()
    for wrong in (None, "", "wrong", password[:-1]):
        stranger = redis.Redis(port=settings.redis.port, password=wrong)
        with pytest.raises(redis.AuthenticationError):
            stranger.keys()
        stranger.close()
    protects(settings, "redis", password)


def protects(settings: Settings, server: str, password: str) -> None:
    """Assert that nobody but the owner can read a password, where it lies or on a command line."""
    file = secret_file(settings.state, server)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        assert not any(password in word for word in words), process
    for copy in settings.state.rglob("*"):
        if copy.is_file() and copy.stat().st_size < 2**20 and password.encode() in copy.read_bytes():
            private = [copy, *copy.relative_to(settings.state).parents]
            assert any(stat.S_IMODE((settings.state / each).stat().st_mode) & 0o077 == 0 for each in private), copy


def test_a_state_folder_without_a_password_gets_one_and_keeps_its_data(settings: Settings) -> None:
    servers.up(settings, only=["redis"])
    with connect(settings.redis) as client:
        client.set("film", "Alien")
    before = secret(settings.state, "redis")
    servers.down(settings)
    shutil.rmtree(secret_file(settings.state, "redis").parent)
    servers.up(settings, only=["redis"])
    assert secret(settings.state, "redis") not in ("", before)
    with connect(settings.redis) as client:
        assert client.get("film") == b"Alien"


def test_a_password_of_the_settings_takes_the_place_of_the_one_that_up_makes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REELSTREAM_REDIS__PASSWORD", 'p"a\\ss, =#$1')
    given = load()
    servers.up(given, only=["redis"])
    assert connect(given.redis).ping()
    assert not secret_file(given.state, "redis").exists()
    with pytest.raises(redis.AuthenticationError):
        connect(settings.redis).ping()


def test_kafka_asks_for_a_password_by_one_setting(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELSTREAM_KAFKA__SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    asking = load()
    servers.up(asking, only=["kafka"])
    ensure_topics(asking.kafka)
    sender = producer(asking.kafka)
    sender.send(asking.kafka.topic, b"{}", b"1").get(timeout=20)
    sender.close()
    log = Log(asking.kafka)
    assert sum(log.ends().values()) == 1
    log.close()
    impatient = asking.kafka.model_copy(update={"timeout_s": 2.0})
    for stranger in ({"security_protocol": "PLAINTEXT"}, {"username": "reelstream", "password": "wrong"}):
        with pytest.raises(Unreachable):
            ensure_topics(impatient.model_validate(impatient.model_dump() | stranger))
    for port in (int(asking.kafka.bootstrap.rpartition(":")[2]), asking.kafka.controller_port):
        assert answers(port, API_VERSIONS)
        assert not answers(port, DESCRIBE_CLUSTER)
    protects(asking, "kafka", secret(asking.state, "kafka"))


@pytest.mark.parametrize("password", ['p"a\\ss, =#$1', "0123456789"])
def test_any_kafka_password_of_the_settings_reaches_the_broker(
    password: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REELSTREAM_KAFKA__SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("REELSTREAM_KAFKA__USERNAME", "rita")
    monkeypatch.setenv("REELSTREAM_KAFKA__PASSWORD", password)
    given = load()
    servers.up(given, only=["kafka"])
    ensure_topics(given.kafka)


def request(api: int, version: int, flexible: bool, body: bytes = b"") -> bytes:
    """A request of Kafka's protocol, as anybody can write it."""
    header = struct.pack(">hhih", api, version, 1, -1) + (b"\0" if flexible else b"")
    return struct.pack(">i", len(header + body)) + header + body


API_VERSIONS = request(18, 0, flexible=False)
"""Answered before a client has shown who it is."""

# Without the operations that are permitted; of the controllers' cluster.
DESCRIBE_CLUSTER = request(60, 1, flexible=True, body=b"\0\2\0")


def answers(port: int, asked: bytes) -> bool:
    """Return True if a listener answers a client without credentials."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(asked)
        try:
            return bool(connection.recv(4))
        except ConnectionError:
            return False


def test_a_broker_without_passwords_answers_everybody(settings: Settings) -> None:
    """Show that the setting makes the difference; SECURITY.md says so."""
    servers.up(settings, only=["kafka"])
    assert answers(settings.kafka.controller_port, DESCRIBE_CLUSTER)
    assert Path(settings.state / "config" / "kafka" / "server.properties").stat().st_mode & 0o077 == 0
