"""Clients of kafka-python."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import KafkaError, OffsetOutOfRangeError

from compat import kafka_python
from settings import KafkaSettings
from stores.errors import Trimmed, Unreachable

kafka_python.tolerate_any_header()
logging.getLogger("kafka").setLevel(logging.ERROR)


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """The options that every client of kafka-python takes."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap.split(","),
        "security_protocol": settings.security_protocol,
        "bootstrap_timeout_ms": int(settings.timeout_s * 1000),
        # As it is, the pause between two tries to connect grows to 30 s, long after Kafka is back.
        "reconnect_backoff_max_ms": 1000,
    }
    if settings.ca_file:
        options["ssl_cafile"] = settings.ca_file
    if settings.security_protocol.startswith("SASL"):
        user, password = settings.login
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": user,
            "sasl_plain_password": password,
        }
    return options


def connected(kind: Callable[..., Any], settings: KafkaSettings, **options: Any) -> Any:
    """Create a client of kafka-python, with further options."""
    if kind is KafkaConsumer:
        # Events of an aborted transaction never happened.
        options.setdefault("isolation_level", "read_committed")
    return kafka_python.connect(kind, **client_options(settings), **options)


@contextmanager
def reachable(settings: KafkaSettings) -> Iterator[None]:
    """Turn what kafka-python raises into `Unreachable`, and an offset beyond the log's bounds into `Trimmed`."""
    try:
        yield
    except OffsetOutOfRangeError as error:
        raise Trimmed(f"Kafka no longer holds the offset that is read ({error}); try again") from error
    except (KafkaError, OSError, ValueError) as error:
        reason = str(error) or type(error).__name__
        # A wrong password looks the same to the client: no broker can be had in time.
        sasl = settings.security_protocol.startswith("SASL")
        refused = " or refuses kafka.username and kafka.password" if sasl else ""
        raise Unreachable(
            f"Kafka at {settings.bootstrap} does not answer{refused} ({reason}); see `reelstream status`"
        ) from error
