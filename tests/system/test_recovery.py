"""Recoveries that docs/reliability.md documents: after each, every acknowledged event counts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import servers
from tests.commands import refuse, succeed
from tests.faults.faults import FAULTS
from tests.faults.losses import LOSSES
from tests.system.conftest import System

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "reliability.md"


@pytest.fixture(scope="module", autouse=True)
def in_order(system: System) -> Iterator[None]:
    """A log and a state of the tests' own, and again for the tests that follow."""
    start_over(system)
    yield
    system.in_order = False


def start_over(system: System) -> None:
    """Bring back what a test may have left stopped, and delete the log and the state."""
    servers.up(system.settings)
    system.start_over()


@pytest.fixture(autouse=True)
def all_up(system: System) -> None:
    """Every component runs, whatever a test that failed left stopped."""
    servers.up(system.settings)


@pytest.fixture
def other_log(system: System) -> Iterator[None]:
    """Kafka's data are lost, once the test loses them; afterwards the log and the state begin anew."""
    yield
    start_over(system)


def rate_some(system: System) -> dict[int, set[int]]:
    """Ratings that `POST /ratings` acknowledged, folded: items by user."""
    rated: dict[int, set[int]] = {}
    for userid in sorted({event.userid for event in system.events})[:5]:
        for item in system.rec(userid=userid, size=3)["item_list"]:
            system.rate(userid, item["itemid"], 5)
            rated.setdefault(userid, set()).add(item["itemid"])
    system.wait()
    return rated


def require_all_count(system: System, rated: dict[int, set[int]]) -> None:
    system.wait(60)
    stored = system.profiles.read_users(sorted(rated))
    assert [userid for userid, items in rated.items() if items - set(stored[userid][1])] == []
    assert system.verify().differences == 0


def test_redis_without_its_file_is_folded_again_from_the_log(system: System) -> None:
    rated = rate_some(system)
    system.lose("redis")
    succeed("publish")
    require_all_count(system, rated)
    system.wait_until_ready()
    assert system.rec(userid=next(iter(rated)))["degraded"] == []


@pytest.mark.usefixtures("other_log")
def test_after_a_lost_log_rebuild_is_refused_and_adopt_leaves_a_snapshot_that_a_lost_redis_is_folded_from(
    system: System,
) -> None:
    rated = rate_some(system)
    system.lose("kafka")
    assert "reelstream adopt" in refuse("rebuild")
    assert system.profiles.profile(next(iter(rated)))[0] is not None
    succeed("adopt")
    system.wait_until_ready()
    for userid, items in rate_some(system).items():
        rated[userid] |= items
    system.lose("redis")
    succeed("publish")
    require_all_count(system, rated)


def test_differences_are_mended_by_rebuild_and_the_log_is_kept(system: System) -> None:
    rated = rate_some(system)
    userid = next(iter(rated))
    tag = system.profiles.tag(system.profiles.shard_of(userid))
    system.profiles.client.delete(f"{tag}:profile:{userid}", f"{tag}:seen:{userid}")
    log = system.log()
    assert system.verify().differences > 0
    succeed("rebuild")
    assert system.log() == log
    require_all_count(system, rated)


def test_an_empty_elasticsearch_is_filled_by_publish(system: System) -> None:
    rated = rate_some(system)
    system.lose("elasticsearch")
    succeed("publish")
    system.wait_until_ready()
    assert system.rec(userid=next(iter(rated)))["degraded"] == []
    require_all_count(system, rated)


def test_each_row_of_recovery_names_a_test_that_executes_it() -> None:
    text = TABLE.read_text()
    table = text[text.index("## Recovery") :].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 14
    names = {fault.name for fault in (*FAULTS, *LOSSES)}
    for wrong, _, _, tested in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", tested)
        faults = re.findall(r"fault \"([^\"]+)\"", tested)
        assert named or faults, f"no test executes: {wrong}"
        for path, function in named:
            source = (ROOT / path).read_text()
            assert not function or f"def {function}(" in source, f"{path} has no {function}"
        for fault in faults:
            assert fault in names, fault
