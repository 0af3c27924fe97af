"""Servers in compose.yaml have the settings, commands and checks that they have without Docker."""

from __future__ import annotations

import shlex
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from servers import kafka, processes, redis, triton
from settings import Settings
from tests.compose.declared import SECRETS, environment, mounts, services
from tests.compose.groups import STAYING, components


def test_kafka_has_the_settings_that_it_has_without_docker(settings: Settings) -> None:
    kafka.component(settings).launch()
    lines = (settings.state / "config" / "kafka" / "server.properties").read_text().splitlines()
    wanted = dict(line.split("=", 1) for line in lines)
    given = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in environment("kafka").items()
        if name != "KAFKA_HEAP_OPTS"
    }
    controller = wanted.pop("controller.quorum.bootstrap.servers")
    assert given.pop("controller.quorum.voters") == f"1@{controller.replace('127.0.0.1', 'localhost')}"
    for where in ("listeners", "advertised.listeners", "log.dirs", "listener.security.protocol.map"):
        assert where in wanted and given.pop(where)
        wanted.pop(where)
    assert given == wanted
    assert given["num.partitions"] == str(settings.kafka.partitions)
    assert environment("kafka")["KAFKA_HEAP_OPTS"] == f"-Xms{kafka.HEAP_MB}m -Xmx{kafka.HEAP_MB}m"


def test_elasticsearch_has_the_heap_and_ports_of_the_settings_and_security(settings: Settings) -> None:
    given, heap = environment("elasticsearch"), settings.elasticsearch.heap_mb
    assert given["ES_JAVA_OPTS"] == f"-Xms{heap}m -Xmx{heap}m"
    assert given["http.port"] == settings.elasticsearch.url.rpartition(":")[2]
    assert given["transport.port"] == str(settings.elasticsearch.transport_port)
    assert given["xpack.security.enabled"] == "true"
    assert given["ELASTIC_PASSWORD"] == SECRETS["ELASTIC_PASSWORD"]


def test_redis_keeps_its_data_as_it_does_without_docker(settings: Settings) -> None:
    redis.component(settings).launch()
    lines = (settings.state / "config" / "redis" / "redis.conf").read_text().splitlines()
    wanted = {name: shlex.split(value)[0] for name, value in (line.split(" ", 1) for line in lines)}
    _, _, command = services()["redis"]["command"][2].partition("exec ")
    words = shlex.split(command.replace("\\\n", " ").split("<<")[0])
    given = {name.removeprefix("--"): value for name, value in zip(words[2::2], words[3::2], strict=True)}
    assert words[:2] == ["valkey-server", "-"]
    assert given.pop("dir") == mounts("redis")["redis"]
    of_this_machine = ("bind", "dir", "daemonize", "logfile", "set-proc-title", "requirepass")
    assert given == {name: value for name, value in wanted.items() if name not in of_this_machine}


def test_triton_has_the_options_that_it_has_without_docker(settings: Settings) -> None:
    wanted = {each for each in triton.component(settings).launch().argv if each.startswith("--")}
    given = set(services()["triton"]["command"][1:])
    of_this_machine = ("--model-repository=", "--backend-", "--grpc-address", "--grpc-port")
    assert {each for each in wanted if not each.startswith(of_this_machine)} == {
        each for each in given if not each.startswith(("--model-repository=", "--grpc-port"))
    }
    assert f"--grpc-port={settings.triton.grpc_port}" in given


@pytest.mark.parametrize("name", ["feast", "worker", "api"])
def test_our_processes_have_the_command_and_the_health_check_that_they_have_without_docker(
    name: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, str]] = []
    monkeypatch.setattr(processes, "expect_ok", lambda port, path: asked.append((port, path)))
    component = components(settings)[name]
    assert services()[name]["command"] == ["python", *component.launch().argv[1:]]
    component.probe()
    ((port, path),) = asked
    test = services()[name]["healthcheck"]["test"]
    assert test[:3] == ["CMD", "python", "-c"]
    assert test[4] == f"http://localhost:{port}{path}"


@pytest.mark.parametrize(
    ("name", "answer", "healthy"),
    [
        ("api", b'{"status": "ok"}', True),
        ("worker", b'{"waits_for": null, "partitions": [1]}', True),
        ("worker", b'{"waits_for": "Redis", "partitions": []}', False),
        ("worker", b"", False),
    ],
)
def test_a_part_is_healthy_where_it_answers_and_a_worker_where_it_waits_for_nothing(
    name: str, answer: bytes, healthy: bool
) -> None:
    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        test = services()[name]["healthcheck"]["test"]
        command = [sys.executable, *test[2:4], f"http://127.0.0.1:{server.server_port}/health"]
        assert (subprocess.run(command, capture_output=True, check=False).returncode == 0) is healthy
        thread.join()


@pytest.mark.parametrize("name", ["train", "publish"])
def test_train_and_publish_are_commands_of_reelstream(name: str) -> None:
    from typer.main import get_command

    from cli import make_app

    assert services()[name]["command"] == ["python", "-m", "cli", name]
    assert services()["reelstream"]["entrypoint"] == ["python", "-m", "cli"]
    assert name in getattr(get_command(make_app()), "commands")  # noqa: B009


def test_a_part_has_as_long_to_stop_as_without_docker(settings: Settings) -> None:
    for name in STAYING:
        assert services()[name]["stop_grace_period"] == f"{settings.servers.stop_timeout_s:.0f}s"
