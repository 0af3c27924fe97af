"""An empty Redis for a test."""

from __future__ import annotations

import pytest

from settings import Settings
from stores import Published, connect
from stores.redis.connection import Client


@pytest.fixture
def client(redis: Settings) -> Client:
    client = connect(redis.redis)
    client.flushall()
    return client


@pytest.fixture
def published(client: Client) -> Published:
    return Published(client)
