"""A Redis of its own for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import servers
from settings import Settings, load
from stores import Published, connect
from tests.servers_fixture import free_ports_environment


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in free_ports_environment(tmp_path_factory.mktemp("lock") / "state").items():
            patch.setenv(name, value)
        made = load()
        try:
            servers.up(made, only=["redis"])
            yield made
        finally:
            servers.down(made)


@pytest.fixture
def published(redis: Settings) -> Published:
    client = connect(redis.redis)
    client.flushall()
    return Published(client)
