"""Benchmarks of events, lists, catch-up and starts on a small system: what they report, not how fast it is."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

import servers
from tests.commands import refuse, succeed
from tests.system.conftest import System

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def test_freshness_is_measured_at_each_load(system: System, in_order: None) -> None:
    found = succeed("bench", "freshness", "--rounds", "5", *["--events-per-s", "0", "--events-per-s", "20"])["levels"]
    assert [(of["events_per_s"], of["requests_per_s"]) for of in found] == [(0.0, 0.0), (20.0, 0.0)]
    for of in found:
        assert of["rounds"] == 5 and of["stale"] == of["failed"] == 0
        assert of["baseline_ms"]["p50"] > 0 and 0 < of["rate_ms"]["p50"] < of["total_ms"]["p99"]
        assert 0 < of["send_ms"]["p50"] <= of["send_ms"]["p90"] <= of["send_ms"]["p99"]


def test_latency_is_measured_next_to_the_tutorials_way(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("bench.latency")
    monkeypatch.setattr(module, "CLIENTS", (1, 2))
    monkeypatch.setattr(module, "RATES", (5, 10))
    monkeypatch.setattr(module, "MOST_P99_MS", 30_000.0)
    found = succeed("bench", "latency", "--seconds", "2")
    assert [*found["closed"]] == [*found["tutorial"]] == ["1", "2"]
    for of in (*found["closed"].values(), *found["tutorial"].values(), *found["open"].values()):
        assert of["failed"] == 0, of
        assert of["requests"] > 2 and 0 < of["p50_ms"] <= of["p90_ms"] <= of["p99_ms"]
    assert found["most_per_s"] == 10 and found["open"]["5"]["requests"] >= 10
    assert found["ratio"]["per_s"] > 0 and found["ratio"]["p50"] > 0


def test_the_tutorials_way_makes_the_same_lists(system: System) -> None:
    bench_tutorial = import_module("bench.tutorial")
    client = bench_tutorial.make_app(system.settings).test_client()
    for userid in sorted({event.userid for event in system.events})[:5]:
        theirs = client.post("/ml/rec", json={"userid": userid}).get_json()["item_list"]
        ours = system.rec(userid=userid)["item_list"]
        assert [item["itemid"] for item in theirs] == [item["itemid"] for item in ours]


def test_throughput_is_measured_by_workers_and_verified(system: System, own_state: None) -> None:
    assert "run it with --reset" in refuse("bench", "throughput")
    found = succeed("bench", "throughput", "--reset", "--rounds", "1", "--workers", "2")
    assert found["differences"] == 0 and found["events"] > 0
    assert [*found["kinds"]] == ["2 workers, drift off", "2 workers, drift on"]
    assert found["kinds"]["2 workers, drift off"]["ratio"] == 1.0
    assert all(of["events_per_s"] > 0 and of["cpu_us_per_event"] > 0 for of in found["kinds"].values())
    # It leaves as many workers as the settings say.
    running = {each.name: each.healthy for each in servers.status(system.settings) if each.name.startswith("worker-")}
    assert running == {"worker-0": True}


def test_starts_are_measured(system: System, own_state: None) -> None:
    found = succeed("bench", "start", "--rounds", "1", "--events-per-s", "20")
    running = [each.name for each in servers.status(system.settings)]
    assert {*found["up"]} == {*running, "all"} and max(found["up"].values()) == found["up"]["all"]
    for way in ("killed", "restarted"):
        assert 0 < found[way]["first_s"] <= found[way]["caught_up_s"], way
    assert found["ratio"] > 0 and all(each.healthy for each in servers.status(system.settings))


def test_growth_with_users_and_their_histories_is_measured(system: System) -> None:
    scale_users, growth = import_module("bench.scale_users"), import_module("bench.growth")
    before = system.client.dbsize()
    users = scale_users.by_users(system.settings, [100, 400], 20, lambda what, share: None)
    histories = scale_users.by_history(system.settings, [10, 1000], 10, lambda what, share: None)
    for of in (*users.values(), *histories.values()):
        assert all(figure > 0 for figure in of.values()), of
    assert histories[1000]["redis_bytes_per_user"] > 5 * histories[10]["redis_bytes_per_user"]
    assert {*growth.laws(users, ["fold_us", "read_ms"])} == {"fold_us", "read_ms"}
    assert system.client.dbsize() <= before + 1, "the generations are deleted, and a number of them is kept"


@pytest.mark.thorough
def test_growth_with_the_catalogue_is_measured_in_systems_of_their_own(
    system: System, own_state: None, tmp_path: Path
) -> None:
    assert "in use" in refuse("bench", "scale", "--folder", str(tmp_path))
    servers.down(system.settings)
    sizes = ["--items", "120", "--items", "240", "--users", "60", "--events", "3000", "--state-users", "100"]
    found = succeed("bench", "scale", *sizes, "--histories", "10", "--seconds", "2", "--folder", str(tmp_path))
    assert [*found["items"]] == ["120", "240"]
    for of in found["items"].values():
        assert of["failed"] == 0 and of["lists"] > 2 and 0 < of["p50_ms"] <= of["p99_ms"]
        assert of["index_recall"] == 1.0, "so few vectors are compared one by one"
        assert of["train_s"] > 0 and of["events_per_s"] > 0 and of["index_bytes_per_item"] > 0
    assert {"p50_ms", "train_s"} <= {*found["growth"]["items"]} and found["outgrown"]["users"] > 0
    assert not [each for each in servers.status(system.settings) if each.pid], "they are stopped"
