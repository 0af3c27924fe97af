"""Drift is counted exactly once, whatever dies, and a change of the stream raises its alarm."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace

import numpy as np
import requests

import servers
from drift.records import Acknowledgement, Alarm
from features import Event, dense
from features.columns import ItemTable, user_columns
from offline.data import readers
from offline.data.split import split
from offline.state.snapshot import Shards
from producers import Pace, Recording, replay, scenario
from producers.scenarios import FEATURE, Stream, inverted_value
from stores import DriftStore, FeatureBatch
from stream.drift.earlier import EarlierCounters
from stream.drift.items import ListedItems
from tests.commands import refuse
from tests.movielens import SCHEMA, decode
from tests.polling import until
from tests.system.conftest import System

WITHIN_S = 180.0
"""Longest wait for what drift counts, in seconds."""


def start_over(system: System) -> DriftStore:
    system.start_over()
    return DriftStore(system.profiles.client)


def send(system: System, name: str = "none", rate: float | None = None, rounds: int = 1) -> None:
    events = [replace(event, ts=event.ts + 30 * 86_400 * n) for n in range(rounds) for event in system.events]
    told = scenario(name, SCHEMA, events, readers.load(system.settings).catalogue.items, 0, 1)
    replay(
        system.settings.kafka,
        Recording.of("drift", SCHEMA, told),
        pace=Pace.MAX if rate is None else Pace.RATE,
        value=rate or 1.0,
        stopping=threading.Event(),
        progress=lambda report: None,
    )


def send_inverted(system: System) -> str:
    """Send all events twice, for 800 are three checks of what are few of a genre; the label of the inverted genre."""
    send(system, "inverted", rounds=2)
    value = inverted_value(Stream(SCHEMA, system.events, readers.load(system.settings).catalogue.items))
    assert value is not None
    return f"label:{value.name(SCHEMA)}"


def counted(store: DriftStore) -> int:
    return sum(counts.events for counts in store.counts().values())


def logged_rows(system: System) -> np.ndarray:
    """The ranker's inputs before each event, as the feature log has them."""
    batches = [FeatureBatch.unpack(record.value, SCHEMA) for record in system.log(system.settings.kafka.features_topic)]
    return np.concatenate([batch.rows for batch in batches])


def test_counts_and_rows_after_a_killed_worker_are_those_of_an_undisturbed_replay(system: System) -> None:
    store = start_over(system)
    send(system)
    until(lambda: counted(store) == len(system.events), WITHIN_S)
    undisturbed = store.counts()
    assert sum(sum(counts.series["label"]) for counts in undisturbed.values()) == len(system.events)

    store = start_over(system)
    assert counted(store) == 0
    worker = servers.pid(system.settings, "worker-0")
    killer = threading.Timer(0.7, lambda: os.kill(worker, signal.SIGKILL))
    killer.start()
    send(system, rate=500.0)
    killer.join()
    until(lambda: counted(store) >= len(system.events), WITHIN_S)
    assert servers.pid(system.settings, "worker-0") != worker
    assert store.counts() == undisturbed
    assert system.verify().differences == 0
    require_rows_of_an_offline_fold(system)


def test_events_folded_while_drift_was_off_leave_no_hole_in_the_counts(system: System) -> None:
    store = start_over(system)
    first, without, last = system.events[:50], system.events[50:120], system.events[120:200]
    system.send_events(first)
    until(lambda: counted(store) == len(first), WITHIN_S)
    off = system.settings.model_copy(update={"drift": system.settings.drift.model_copy(update={"enabled": False})})
    servers.stop(system.settings, ["workers"])
    servers.up(off, only=["workers"])
    system.send_events(without)
    system.wait()
    until(lambda: counted(store) == 0, WITHIN_S)
    servers.stop(system.settings, ["workers"])
    servers.up(system.settings, only=["workers"])
    system.send_events(last)
    until(lambda: counted(store) == len(last), WITHIN_S)
    found = system.verify()
    assert (found.differences, found.drift_events) == (0, len(last))


def require_rows_of_an_offline_fold(system: System) -> None:
    """Check that the feature log has the rows that an offline fold gives, and repeats none with other values."""
    ratings = readers.load(system.settings)
    shards = Shards.after(ratings, split(ratings, system.settings.data).offline, system.settings.kafka.partitions)
    logged: dict[tuple[int, int], np.ndarray] = {}
    for record in system.log(system.settings.kafka.features_topic):
        batch = FeatureBatch.unpack(record.value or b"", SCHEMA)
        for offset, row in zip(batch.offset.tolist(), batch.rows, strict=True):
            known = logged.setdefault((batch.partition, offset), row)
            assert np.array_equal(known, row, equal_nan=True)
    table = ItemTable(SCHEMA, ratings.catalogue.items)
    others = [shards.others(shard) for shard in range(system.settings.kafka.partitions)]
    for record in system.log():
        state, event = shards.states[record.partition], decode(record.key, record.value)
        n, likes = others[record.partition].get(event.itemid, (0, 0))
        counter = state.counter(event.itemid)
        user = user_columns(SCHEMA, np.array([state.user_values(event.userid)], dtype=np.int64))
        counts = (np.array([value], dtype=np.int64) for value in (counter.n + n, counter.likes + likes))
        expected = dense(SCHEMA, user, table.at(table.column([event.itemid]), *counts))[0]
        if state.step(event):
            assert np.allclose(logged.pop((record.partition, record.offset)), expected, rtol=1e-6, atol=0)
    assert not logged


def test_inverted_ratings_raise_an_alarm_of_their_genre_and_tell_it(system: System) -> None:
    store = start_over(system)
    label = send_inverted(system)
    until(lambda: any(alarm.series == label for alarm in store.alarms()), WITHIN_S)
    now, histogram = store.now(), store.histogram(label)
    assert now is not None and histogram is not None
    (inverted,) = (series for series in now.series if series.name == label)
    assert inverted.alarm_since is not None and inverted.ratio > 1
    assert len(histogram.labels) == len(histogram.reference) == len(histogram.now)
    told = [Alarm.model_validate_json(record.value or b"") for record in system.log(system.settings.kafka.alarms_topic)]
    assert {alarm.key for alarm in store.alarms()} <= {alarm.key for alarm in told}
    text = requests.get(f"http://127.0.0.1:{system.settings.stream.metrics_port}/metrics", timeout=10).text
    assert f'reelstream_drift_alarms_open{{series="{label}"}} 1.0' in text
    assert store.timeline()[-1].psi[label] == inverted.psi


def test_an_acknowledged_alarm_stays_so_until_it_changes_and_across_a_restart(system: System) -> None:
    store = start_over(system)
    label = send_inverted(system)
    until(lambda: any(alarm.series == label for alarm in store.alarms(0)), WITHIN_S)
    until(lambda: counted(store) == 2 * len(system.events), WITHIN_S)
    assert system.post("/drift/acknowledge", {"alarm": "no-such-series", "note": "x"}).status_code == 404
    answer = system.post("/drift/acknowledge", {"alarm": label, "note": "a test of ours"})
    assert answer.status_code == 200, answer.text
    cause = answer.json()["cause"]
    servers.stop(system.settings, ["workers"])
    servers.start(system.settings, ["workers"])
    assert store.acknowledged()[cause].note == "a test of ours"
    (shown,) = (each for each in system.get("/drift/alarms").json()["causes"] if each["cause"] == cause)
    assert shown["note"] == "a test of ours"
    # A note on what is over goes with the next window that is checked; this one stays.
    store.acknowledge(Acknowledgement(cause="psi:next:1", note="over", wall_ts=1.0, alarms=["psi:next:1"], level=1))
    events = [replace(event, ts=event.ts + 60 * 86_400) for event in system.events]
    system.send_events(events)
    until(lambda: "psi:next:1" not in store.acknowledged(), WITHIN_S)


def test_events_are_scored_before_they_are_learned_from(system: System) -> None:
    store = start_over(system)
    send(system, rate=200.0)
    until(lambda: bool(store.quality()), WITHIN_S)
    quality, trained = store.quality()[-1], store.trained()
    assert trained is not None and trained.run == quality.run
    assert 0 < quality.sampling < 1
    assert quality.scored > 0 and quality.listed > 0
    assert {"history:20-99"} & quality.segments.keys()


def test_lists_before_an_event_do_not_know_its_counters(system: System) -> None:
    start_over(system)
    itemids = system.catalogue_items()
    partition = system.partition(800_002)
    items = ListedItems(SCHEMA, system.published.catalogue(), system.profiles)
    counters = EarlierCounters(system.profiles, items.table, 30.0, clock=iter([0.0, 0.0, 10.0, 10.0]).__next__)
    assert counters.before(partition, 0) is None
    counters.read()
    system.send_events([Event(800_002, itemids[0], 5, 1000)])
    # An event is in the feature log, and may be counted there, before it is folded.
    until(lambda: system.profiles.applied()[partition] == 0, WITHIN_S)
    counters.read()
    before, after = counters.before(partition, 0), counters.before(partition, 1)
    assert before is not None and after is not None
    (column,) = after.table.column([itemids[0]])
    for name in ("n", "likes"):
        assert getattr(after.counters, name)[column] == getattr(before.counters, name)[column] + 1


def test_a_rating_sent_twice_is_counted_once(system: System) -> None:
    store = start_over(system)
    event = Event(800_001, system.catalogue_items()[0], 5, 1000)
    system.send_events([event, event, Event(800_001, system.catalogue_items()[1], 1, 1001)])
    until(lambda: counted(store) == 2, WITHIN_S)
    place = SCHEMA.dense_columns.index("user_log_n")
    assert logged_rows(system)[:, place].tolist() == [0.0, np.log1p(np.float32(1.0))]


def test_without_the_ranker_events_are_counted_all_the_same(system: System) -> None:
    store = start_over(system)
    servers.stop(system.settings, ["triton"])
    try:
        send(system)
        until(lambda: counted(store) == len(system.events), WITHIN_S)
    finally:
        servers.start(system.settings, ["triton"])
    assert store.quality() == []
    assert store.now() is not None


def test_the_header_broken_spoils_features_only_where_the_setting_allows_it(system: System) -> None:
    store = start_over(system)
    before = len(system.log())
    assert "drift.spoil_features" in refuse("replay", "--max", "--scenario", "broken-missing")
    assert len(system.log()) == before
    send(system, "broken-missing")
    until(lambda: counted(store) == len(system.events), WITHIN_S)
    assert not np.isnan(logged_rows(system)).any()
    assert system.verify().differing == {}

    store = start_over(system)
    servers.stop(system.settings, ["workers"])
    drift = system.settings.drift.model_copy(update={"spoil_features": True})
    try:
        servers.start(system.settings.model_copy(update={"drift": drift}), ["workers"])
        send(system, "broken-missing")
        until(lambda: counted(store) == len(system.events), WITHIN_S)
        rows = logged_rows(system)
        place = SCHEMA.dense_columns.index(FEATURE)
        assert np.isnan(rows[:, place]).all()
        assert not np.isnan(np.delete(rows, place, axis=1)).any()
    finally:
        servers.stop(system.settings, ["workers"])
        servers.start(system.settings, ["workers"])
