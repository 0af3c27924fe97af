"""Connections to Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from settings import RedisSettings
from stores.errors import Unreachable

Client = redis.Redis
"""A client that answers in bytes; safe to share between threads."""


def retry() -> Retry:
    """One more try at once, where a connection turns out to be dead; redis-py would wait and try for 6 s and more."""
    return Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))


def connect(settings: RedisSettings) -> Client:
    """A client; the connection is made when the first command is sent."""
    return redis.Redis(
        host=settings.host,
        port=settings.port,
        username=settings.username or None,
        password=settings.secret or None,
        ssl=settings.tls,
        ssl_ca_certs=settings.ca_file or None,
        socket_timeout=settings.timeout_s,
        socket_connect_timeout=settings.timeout_s,
        health_check_interval=0,
        retry=retry(),
    )


def answers(pipeline: redis.client.Pipeline) -> list[Any]:
    """The answers to a pipeline's commands; an error in place of one about a key that holds another type.

    Raises:
        Unreachable: if Redis does not answer.
    """
    with reachable():
        values: list[Any] = pipeline.execute(raise_on_error=False)
        for value in values:
            if isinstance(value, Exception) and not str(value).startswith("WRONGTYPE"):
                raise value
    return values


@contextmanager
def reachable() -> Iterator[None]:
    """Turn what redis-py raises where the server is down, starting, full or read-only into `Unreachable`."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError, redis.exceptions.ReadOnlyError) as error:
        raise Unreachable(f"Redis does not answer ({error}); see `reelstream status`") from error
    except redis.exceptions.OutOfMemoryError as error:
        raise Unreachable("Redis is out of memory; raise redis.max_memory_mb (for other servers, maxmemory)") from error
    except redis.exceptions.ResponseError as error:
        if str(error).startswith(("LOADING", "MISCONF", "CLUSTERDOWN", "MASTERDOWN")):
            raise Unreachable(f"Redis cannot accept commands: {error}") from error
        raise
