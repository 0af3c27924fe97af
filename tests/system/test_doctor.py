"""`reelstream doctor` on a system that keeps its promises, and on one that does not."""

from __future__ import annotations

import json

import pytest

import servers
from cli.doctor import CHECKS
from stores import connect
from tests.commands import command
from tests.system.conftest import System


def findings(code: int) -> dict[str, tuple[bool, str]]:
    done = command("doctor", "--json")
    assert done.returncode == code, done.stdout + done.stderr
    return {each["promise"]: (each["kept"], each["words"]) for each in json.loads(done.stdout)}


def test_every_promise_is_kept_on_a_running_system(system: System) -> None:
    system.wait()
    found = findings(0)
    assert list(found) == list(CHECKS)
    assert all(kept and words for kept, words in found.values())


def test_a_store_that_is_away_breaks_its_promises_and_the_others_are_checked_all_the_same(system: System) -> None:
    servers.stop(system.settings, ["feast"])
    try:
        found = findings(1)
    finally:
        servers.start(system.settings, ["feast"])
    broken = {promise for promise, (kept, _) in found.items() if not kept}
    assert broken == {"components answer", "nobody can write features over HTTP"}
    assert list(found) == list(CHECKS)


@pytest.mark.parametrize(("name", "value", "back"), [("maxmemory-policy", "allkeys-lru", "noeviction")])
def test_a_redis_that_may_evict_is_found(system: System, name: str, value: str, back: str) -> None:
    client = connect(system.settings.redis)
    client.config_set(name, value)
    try:
        kept, words = findings(1)["Redis keeps the state"]
    finally:
        client.config_set(name, back)
    assert not kept and value in words
