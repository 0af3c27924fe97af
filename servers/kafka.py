"""Kafka 4.3.1: one broker in KRaft combined mode. Events are the truth, so the log never expires.

With `kafka.security_protocol = "SASL_PLAINTEXT"` both of its listeners ask for a password: that of the settings, or one
that is generated into the state folder.
"""

from __future__ import annotations

import base64
import logging
import re
import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from servers import aot, java
from servers.component import (
    LOOPBACK,
    PROBE_TIMEOUT_S,
    Component,
    Launch,
    NotYet,
    Port,
    loopback_port,
    require_listener,
)
from servers.errors import Unsupported
from servers.paths import Layout, cache, write_private
from settings import KafkaSettings, Settings, local

VERSION = "4.3.1"
COORDINATES = (f"org.apache.kafka:kafka_2.13:{VERSION}", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4")
HEAP_MB = 384
JAVA_OPTIONS = (
    f"-Xms{HEAP_MB}m",
    f"-Xmx{HEAP_MB}m",
    # Else it takes hours until the process is as large as it will be.
    "-XX:+AlwaysPreTouch",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "--sun-misc-unsafe-memory-access=allow",
    "-Djava.awt.headless=true",
)
PLAINTEXT, SASL, MECHANISM = "PLAINTEXT", "SASL_PLAINTEXT", "PLAIN"

LOGGERS = """\
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
"""


def jars() -> Path:
    """The folder with the jars."""
    return cache() / f"kafka-{VERSION}"


def install() -> None:
    """Fetch the jars where they are missing."""
    if not jars().is_dir():
        java.fetch(COORDINATES, jars())


def aot_cache() -> Path:
    """The AOT cache of the broker; its tools use it too."""
    return aot.cache_file(f"kafka-{VERSION}", java.jars(jars()))


def prepare(settings: Settings) -> None:
    """Make the AOT cache where it is missing; asking whether the broker is ready is all that it is used for."""
    aot.create(aot_cache(), lambda state, options: component(_in_training(settings, state), options), lambda _: None)


def component(settings: Settings, java_options: Sequence[str] | None = None) -> Component:
    """Kafka as a component of the system.

    Args:
        settings: all settings.
        java_options: further options for the broker's Java; None: those by which it uses the AOT cache.

    Raises:
        Unsupported: the settings ask for what this broker does not speak.
    """
    if settings.kafka.security_protocol not in (PLAINTEXT, SASL):
        raise Unsupported(
            f"setting kafka.security_protocol is {settings.kafka.security_protocol}, but the Kafka that "
            f"`reelstream up` starts has no TLS; set it to {PLAINTEXT} or {SASL}"
        )
    if settings.kafka.security_protocol == SASL and settings.kafka.sasl_mechanism != MECHANISM:
        raise Unsupported(
            f"setting kafka.sasl_mechanism is {settings.kafka.sasl_mechanism}, but the Kafka that "
            f"`reelstream up` starts accepts only {MECHANISM}; set it to {MECHANISM}"
        )
    if not re.fullmatch(r"[\w.-]*", settings.kafka.username, re.ASCII):
        raise Unsupported(
            "setting kafka.username: the Kafka that `reelstream up` starts accepts only letters and digits"
        )
    port = loopback_port(settings.kafka.bootstrap, "kafka.bootstrap")
    return Component(
        name="kafka",
        ports=(Port(port, "kafka.bootstrap"), Port(settings.kafka.controller_port, "kafka.controller_port")),
        launch=lambda: _launch(settings, port, aot.using(aot_cache()) if java_options is None else java_options),
        probe=lambda: _probe(settings, port),
    )


def _in_training(settings: Settings, state: Path) -> Settings:
    port, controller_port = aot.free_ports(2)
    own = KafkaSettings(bootstrap=f"{LOOPBACK}:{port}", controller_port=controller_port)
    return settings.model_copy(update={"state_dir": state, "kafka": own})


def _launch(settings: Settings, port: int, java_options: Sequence[str]) -> Launch:
    data, config = Layout(settings.state).make_folders("kafka")
    (config / "log4j2.properties").write_text(java.LOG4J + LOGGERS)
    properties = config / "server.properties"
    lines = {**_properties(settings, port, data), **_credentials(settings)}
    write_private(properties, "".join(f"{key}={value}\n" for key, value in lines.items()))
    run = [
        *JAVA_OPTIONS,
        f"-Dlog4j2.configurationFile={config / 'log4j2.properties'}",
        "-cp",
        java.class_path(jars()),
    ]
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
    return Launch(
        argv=[str(java.JAVA), *java_options, *run, "kafka.Kafka", str(properties)],
        environment={},
        directory=data,
        first=[
            str(java.JAVA),
            *aot.using(aot_cache()),
            *run,
            "kafka.tools.StorageTool",
            "format",
            "--standalone",
            f"--cluster-id={cluster}",
            f"--config={properties}",
        ],
        first_makes=data / "meta.properties",
    )


def _properties(settings: Settings, port: int, data: Path) -> Mapping[str, object]:
    protocol, controller_port = settings.kafka.security_protocol, settings.kafka.controller_port
    listeners = f"{protocol}://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}"
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.bootstrap.servers": f"{LOOPBACK}:{controller_port}",
        "listeners": listeners,
        "advertised.listeners": listeners,
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": protocol,
        "listener.security.protocol.map": f"CONTROLLER:{protocol},{protocol}:{protocol}",
        # A broker that was killed is let in again only when its former session is over.
        "broker.session.timeout.ms": 4000,
        "broker.heartbeat.interval.ms": 500,
        "log.dirs": data,
        "num.partitions": settings.kafka.partitions,
        "auto.create.topics.enable": "false",
        "log.retention.ms": -1,
        "log.retention.bytes": -1,
        # Kafka deletes the files of what was trimmed this often, and each of them a minute later.
        "log.retention.check.interval.ms": 60_000,
        "offsets.retention.minutes": 2**31 - 1,
        "group.initial.rebalance.delay.ms": 0,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 8,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 8,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "log.cleaner.dedupe.buffer.size": 16 * 2**20,
        "num.network.threads": 2,
        "num.io.threads": 4,
    }


def _credentials(settings: Settings) -> Mapping[str, object]:
    """Configure both listeners to require the password, and the broker to send it to itself; empty without SASL."""
    if settings.kafka.security_protocol != SASL:
        return {}
    if not settings.kafka.username:
        local.make_secret(settings.state, "kafka")
    user, password = settings.kafka.login
    login = {"username": user, "password": password, f"user_{user}": password}
    options = " ".join(f"{name}={_quoted(value)}" for name, value in login.items())
    jaas = f"org.apache.kafka.common.security.plain.PlainLoginModule required {options};"
    return {
        "sasl.enabled.mechanisms": MECHANISM,
        "sasl.mechanism.inter.broker.protocol": MECHANISM,
        "sasl.mechanism.controller.protocol": MECHANISM,
        f"listener.name.{SASL.lower()}.plain.sasl.jaas.config": jaas,
        "listener.name.controller.plain.sasl.jaas.config": jaas,
    }


def _quoted(value: str) -> str:
    """A value in a login module's options, which stand in a file of Java properties."""
    quoted = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return quoted.replace("\\", "\\\\")


def _probe(settings: Settings, port: int) -> None:
    """The broker is registered with its controller, lists its topics, and coordinates groups."""
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    from compat import kafka_python

    require_listener(port)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    within_ms = int(PROBE_TIMEOUT_S * 1000)
    login: dict[str, str] = {"security_protocol": settings.kafka.security_protocol}
    if settings.kafka.security_protocol == SASL:
        user, password = settings.kafka.login
        login |= {"sasl_mechanism": MECHANISM, "sasl_plain_username": user, "sasl_plain_password": password}
    try:
        admin = kafka_python.connect(
            KafkaAdminClient,
            **login,
            bootstrap_servers=f"{LOOPBACK}:{port}",
            bootstrap_timeout_ms=within_ms,
            request_timeout_ms=within_ms,
        )
        with closing(admin):
            if not admin.describe_cluster()["brokers"]:
                raise NotYet("the broker has not yet registered with its controller")
            admin.list_topics()
            # The first question about any group makes the topic of the groups' offsets, which takes a moment.
            admin.describe_groups(["none"])
    except (KafkaError, OSError) as error:
        raise NotYet(f"no Kafka broker answers on port {port} ({type(error).__name__})") from error
