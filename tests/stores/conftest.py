"""An empty Redis for a test."""

from __future__ import annotations

import pytest

from settings import Settings
from stores import Published, connect


@pytest.fixture
def published(redis: Settings) -> Published:
    client = connect(redis.redis)
    client.flushall()
    return Published(client)
