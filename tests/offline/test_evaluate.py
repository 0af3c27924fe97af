from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drift.classification_metrics import auc, ece, logloss
from features import user_row
from features.columns import row_values
from offline.data.history import State, replay
from offline.data.readers import Ratings
from offline.data.split import online_events, time_order
from offline.errors import RunError
from offline.evaluate.cold import cold
from offline.evaluate.evaluation import DAY, Source, ask, evaluate
from offline.evaluate.item_knn import ItemKnn
from offline.evaluate.state import Known, Replay, shortened
from settings import Settings


@pytest.fixture(scope="module")
def films(generated: Settings, run: Path) -> Source:
    return Source.open(generated, run.name)


@pytest.fixture(scope="module")
def shop_source(shop: Settings, shop_run: Path) -> Source:
    return Source.open(shop, shop_run.name)


@pytest.fixture(params=["films", "shop_source"])
def source(request: pytest.FixtureRequest) -> Source:
    """A run, of each data set in turn."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Source)
    return found


def state_at(source: Source, second: int) -> State:
    """The slow, obvious way: everything folded anew."""
    ratings, parts = source.ratings, source.parts
    state = replay(ratings, time_order(ratings, parts.offline), State(ratings.schema, ratings.catalogue))
    for event in ratings.events(online_events(ratings, parts)):
        if event.ts < second:
            state.step(event)
    return state


def at_all(source: Source, sample: int) -> tuple[np.ndarray, dict[str, np.ndarray], list[Known]]:
    ratings, parts = source.ratings, source.parts
    targets = source.targets(sample)
    state = replay(ratings, time_order(ratings, parts.offline), State(ratings.schema, ratings.catalogue))
    asked, rows = ask(ratings, targets, np.zeros(len(targets), dtype=np.int64))
    replayed = Replay(ratings, online_events(ratings, parts), state, 30.0)
    return targets, rows, list(replayed.at(asked))


def test_a_moment_knows_the_events_of_earlier_seconds_and_no_others(source: Source) -> None:
    targets, rows, batches = at_all(source, 12)
    assert len(batches) == 1
    (known,) = batches
    itemids, hides = sorted(source.ratings.catalogue.items), source.ratings.schema.codes.hides
    assert len(targets) == 12
    for number, target in enumerate(targets.tolist()):
        userid, ts = source.ratings.userid(target), int(source.ratings.ts[target])
        for mode, second in (("live", ts), ("nightly", ts // DAY * DAY), ("frozen", 0)):
            row, state = int(rows[mode][number]), state_at(source, second)
            profile = state.profile(userid)
            recent = profile.recent
            user = known.users[row]
            assert user.user == state.catalogue.user(userid)
            assert user.recent == recent
            assert known.events[row] == profile.n
            seen = state.seen[userid]
            assert {*user.exclude} == {itemid for itemid in seen if any(hides[code] for _, code in seen[itemid])}
            assert source.ratings.itemid(target) not in user.exclude
            schema = source.ratings.schema
            expected = user_row(schema, profile, state.catalogue.user(userid), state.catalogue.items)
            assert user.features == row_values(schema, expected)
            counters = [state.counter(itemid) for itemid in itemids]
            assert known.counters.n[row].tolist() == [counter.n for counter in counters]
            assert known.counters.likes[row].tolist() == [counter.likes for counter in counters]
            assert known.counters.recent_likes[row].tolist() == [counter.recent_likes for counter in counters]
            assert known.counters.last_ts[row].tolist() == [counter.last_ts for counter in counters]


def test_the_targets_are_the_discoveries_among_the_held_out_events(films: Source, shop_source: Source) -> None:
    likes = online_events(films.ratings, films.parts)
    assert films.targets(None).tolist() == likes[films.ratings.positive[likes]].tolist()
    events, held_out = shop_source.ratings, shop_source.parts.online
    targets = shop_source.targets(None)
    names = [events.schema.codes.type(code) for code in events.code[targets].tolist()]
    assert "view" in names, "a purchase that follows a view is no discovery"
    assert np.array_equal(np.sort(targets), np.sort(held_out[events.targets(held_out)]))
    assert (np.diff(events.ts[targets]) >= 0).all()


def test_lists_are_without_hidden_items_each_once_and_ordered(source: Source) -> None:
    _, _, batches = at_all(source, 40)
    run_lists, itemids = source.lists(), sorted(source.ratings.catalogue.items)
    for known in batches:
        knn = ItemKnn.of(source.ratings, source.parts.offline).lists(known.users, 300)
        for name, lists in {**run_lists.make(known), "item_knn": knn}.items():
            for row in range(len(known)):
                entries = lists.entries(row)
                listed = {itemids[column] for column, _ in entries}
                assert len(entries) > 10, name
                assert len(listed) == len(entries)
                assert not listed & set(known.users[row].exclude)
                assert (np.diff([score for _, score in entries]) <= 0).all()
        alone, together = run_lists.pipeline(known), run_lists.make(known)["pipeline"]
        np.testing.assert_array_equal(alone.column, together.column)


def test_the_report_has_every_figure_and_live_is_best(source: Source) -> None:
    stages: dict[str, tuple[int, int]] = {}
    report = evaluate(
        source.settings,
        source.manifest.run,
        sample=400,
        progress=lambda stage, done, total: stages.update({stage: (done, total)}),
    )
    assert report["events"] == min(400, len(source.targets(None)))
    assert stages.keys() == {"history", "lists"}
    assert all(done == total for done, total in stages.values())
    assert report["pipeline"].keys() == {"live", "frozen", "nightly"}
    assert report["sources"].keys() == {"vector", "terms"}
    assert report["baselines"].keys() == {"item_knn"}
    lists = [
        report["baselines"]["item_knn"]["live"],
        report["recall"]["live"],
        report["popularity"]["live"],
        *report["pipeline"].values(),
    ]
    lists += [source["live"] for source in report["sources"].values()]
    for figures in lists:
        assert figures.keys() == {"hr@10", "ndcg@10", "hr@50", "hr@200", "mrr", "coverage", "tail"}
        assert all(0.0 <= value <= 1.0 for value in figures.values())
    assert report["pipeline"]["live"]["hr@10"] > report["popularity"]["live"]["hr@10"]
    exploration = report["exploration"]
    assert exploration["share"] == 0.1, "it is measured while the setting is 0"
    live = report["pipeline"]["live"]
    assert exploration["without"] == {name: live[name] for name in ("hr@10", "ndcg@10", "coverage", "tail")}
    assert exploration["with"]["hr@10"] <= live["hr@10"] + 0.03
    assert exploration["with"] != exploration["without"]
    assert report["ranker"].keys() == {"test", "online_live", "online_frozen"}
    assert all(figures.keys() == {"auc", "logloss", "ece"} for figures in report["ranker"].values())


def test_the_ranker_is_measured_as_in_training(films: Source, ratings: Ratings) -> None:
    source = films
    likes = source.likes(source.parts.test)
    replay(ratings, time_order(ratings, source.parts.offline), State(ratings.schema, ratings.catalogue), (likes,))
    label, like = likes.finish()
    told = source.manifest.metrics["ranker_test"]
    assert auc(label, like) == pytest.approx(told["auc"], abs=1e-5)
    assert logloss(label, like) == pytest.approx(told["logloss"], abs=1e-6)


def test_calibration_error_is_the_distance_of_bins() -> None:
    label = np.array([1.0, 1.0, 0.0, 0.0])
    assert ece(label, label) == 0.0
    assert ece(label, np.full(4, 0.5)) == 0.0
    assert ece(label, np.array([0.9, 0.9, 0.9, 0.1])) == pytest.approx(0.75 * (0.9 - 2 / 3) + 0.25 * 0.1)
    assert ece(np.ones(3), np.full(3, 0.25)) == pytest.approx(0.75)


def test_a_new_user_without_events_gets_what_is_popular_and_more_events_help(source: Source) -> None:
    measured = cold(source, 300, lambda stage, done, total: None)
    found = measured["cold"]
    users = found["users"]
    assert list(users) == ["0", "1", "3", "10"]
    assert users["0"]["hr@10"] == users["0"]["popularity_hr@10"]
    assert users["0"]["ratio"] == 1.0
    assert users["10"]["hr@10"] > users["0"]["hr@10"]
    assert found["items"]["100"]["events"] >= found["items"]["20"]["events"]
    assert all(0.0 <= of["recalled_vectors"] <= 1.0 for of in users.values())
    new = found["new_items"]
    assert 0 < new["items"] < 40 and 0 < new["events"] < measured["events"]
    assert 0.0 <= new["hr@50"] <= new["hr@200"] <= 1.0


def test_a_new_user_is_known_by_the_last_events_alone(source: Source) -> None:
    ratings = source.ratings
    state = replay(ratings, time_order(ratings, source.parts.offline), State(ratings.schema, ratings.catalogue))
    whole = state.profile(ratings.userid(int(source.targets(1)[0])))
    new = shortened(whole, 3, state)
    assert (new.n, new.recent) == (3, whole.recent[-3:])
    assert new.userid not in ratings.users and not ratings.schema.user_ids.valid(new.userid)
    assert shortened(whole, 0, state).n == 0
    assert shortened(whole, 10_000, state).recent == whole.recent


def test_a_run_of_another_description_is_refused(shop: Settings, shop_run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(Path(shop.dataset).read_text().replace("weight = 0.5", "weight = 0.25"))
    settings = shop.model_copy(update={"data": shop.data.model_copy(update={"dataset": str(other)})})
    with pytest.raises(RunError, match=r"was trained with another description than .*other\.toml, .* train again"):
        Source.open(settings, shop_run.name)


def test_without_a_discovery_among_the_held_out_events_there_is_nothing_to_measure(shop_source: Source) -> None:
    codes = np.full_like(shop_source.ratings.code, 1)
    views = replace(shop_source, ratings=replace(shop_source.ratings, code=codes))
    with pytest.raises(RunError, match=r"no held-out event .* hold out more with `\[split\]`"):
        views.targets(None)
