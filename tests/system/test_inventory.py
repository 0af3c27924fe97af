"""docs/versions.md names every kind of value that a running system stores."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any, cast

import pytest
from kafka import KafkaAdminClient

from compat.feast_rows import row_key_prefix
from stores.elasticsearch import ItemIndex
from stores.kafka.client import connected
from tests.inventory import rows
from tests.system.conftest import System

VARIES = re.compile(r"[A-Z]+")


def pattern(name: str) -> re.Pattern[str]:
    """A name of the table as a pattern: words in capitals stand for what varies, a last slash for a whole folder."""
    parts = re.split(f"({VARIES.pattern})", name)
    text = "".join("[^/:]+" if VARIES.fullmatch(part) else re.escape(part) for part in parts)
    return re.compile(text + (".*" if name.endswith("/") else ""), re.DOTALL)


def named(kind: str) -> list[re.Pattern[str]]:
    return [pattern(row.name) for row in rows() if row.kind == kind]


def unnamed(kind: str, stored: set[str]) -> list[str]:
    """Names of stored values that the table lacks."""
    known = named(kind)
    return sorted(name for name in stored if not any(each.fullmatch(name) for each in known))


def redis_keys(system: System) -> Iterator[str]:
    """All keys of Redis without the names of generations, and those of Feast by one name."""
    of_feast = tuple(row_key_prefix(join_key) for join_key in ("userid", "itemid"))
    for key in cast("Iterator[bytes]", system.profiles.client.scan_iter(count=1000)):
        yield "FEAST" if key.startswith(of_feast) else re.sub(r"^g\d+:", "", key.decode("latin-1"))


@pytest.fixture(scope="module", autouse=True)
def lived_in(system: System) -> None:
    """A system that has met events, junk and requests."""
    system.send_events(system.events[:300])
    system.send([(b"1", b"junk", system.partition(1))])
    system.rec(userid=1)
    system.wait_for_drift()


def test_every_key_of_redis_is_in_the_table(system: System) -> None:
    stored = set(redis_keys(system))
    assert len(stored) > 100 and "FEAST" in stored
    assert unnamed("key", stored) == []


def test_every_topic_is_in_the_table(system: System) -> None:
    with closing(cast(Any, connected(KafkaAdminClient, system.settings.kafka))) as admin:
        topics = {name for name in admin.list_topics() if not name.startswith("__")}
    assert topics >= {"ratings", "ratings.dead", "ratings.features"}
    assert unnamed("topic", topics) == []


def test_every_index_is_in_the_table(system: System) -> None:
    index = ItemIndex(system.settings.elasticsearch)
    stored = set(index.indices())
    index.close()
    assert stored
    assert unnamed("index", stored) == []


def test_every_file_of_the_state_folder_is_in_the_table(system: System) -> None:
    state = system.settings.state
    files = {str(path.relative_to(state)) for path in state.rglob("*") if path.is_file()}
    assert any(name.startswith("runs/") for name in files)
    assert unnamed("file", files) == []
