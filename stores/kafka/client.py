"""Clients of kafka-python, closed in full."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient

from settings import KafkaSettings
from stores.errors import Unreachable
from stores.kafka.headers import tolerate_any_header

tolerate_any_header()
logging.getLogger("kafka").setLevel(logging.ERROR)


class Network(KafkaNetClient):  # type: ignore[misc]
    """The sockets of a client of kafka-python.

    Closed while a request is about to be written or a connection is being made, kafka-python leaves the socket to the
    garbage collector: in about one of 170 closings of a consumer that has just polled.
    """

    def close(self, node_id: Any = None) -> None:
        """Close the connection to a broker; without one, all that is open."""
        if node_id is not None:
            super().close(node_id)
            return
        self._manager.close()
        self._net.stop()
        waiting = [key.fileobj for key in (self._net._selector.get_map() or {}).values()]
        self._net.close()
        for socket in waiting:
            socket.close()


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
    """A client of kafka-python, with further options.

    A client that cannot be made, as no broker answers, leaves its sockets and its thread behind in kafka-python; here
    they are closed, or a worker that waits for Kafka would gather them.
    """
    networks: list[KafkaNetClient] = []
    if kind is KafkaConsumer:
        # Events of an aborted transaction never happened.
        options.setdefault("isolation_level", "read_committed")

    def network(**configs: Any) -> KafkaNetClient:
        networks.append(Network(**configs))
        return networks[-1]

    try:
        return kind(**client_options(settings), kafka_client=network, **options)
    except BaseException:
        for client in networks:
            client.close()
        raise


def abandon(client: KafkaProducer) -> None:
    """Stop a producer and forget what Kafka has not taken.

    A producer of kafka-python that gave up a record never sends another, as it asks for no new producer id, and its
    `close` first waits for what can no longer be sent, raises, and leaves its thread running.
    """
    client._sender.force_close()
    with suppress(KafkaError):
        client.close(timeout=1.0)


@contextmanager
def reachable(settings: KafkaSettings) -> Iterator[None]:
    """Turn what kafka-python raises into `Unreachable`."""
    try:
        yield
    except (KafkaError, OSError, ValueError) as error:
        reason = str(error) or type(error).__name__
        # A wrong password looks the same to the client: no broker can be had in time.
        sasl = settings.security_protocol.startswith("SASL")
        refused = " or refuses kafka.username and kafka.password" if sasl else ""
        raise Unreachable(
            f"Kafka at {settings.bootstrap} does not answer{refused} ({reason}); see `reelstream status`"
        ) from error
