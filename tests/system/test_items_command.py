"""`reelstream items`: items that are put, changed and withdrawn while the system serves, and their documents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import numpy as np
import pytest

import servers
from bench import changes
from bench.new_items import words_of
from features import Id
from offline import runs
from servers.errors import NotRunning
from stores.elasticsearch import ItemIndex
from stores.item_documents import Document
from stores.redis.published_runs import METADATA, VECTORS
from stores.redis.shard_catalogue import read_changed
from stores.redis.state_stores import StateStores
from stores.redis.unpublished_items import UnpublishedItems
from stores.run_items import NEW_PRIOR
from stream.fold import changed_documents
from tests.commands import refuse, succeed
from tests.polling import until
from tests.processes import kill
from tests.system.conftest import System

pytestmark = [pytest.mark.long, pytest.mark.timeout(600), pytest.mark.usefixtures("in_order")]

NEW = count(900_001)
"""Ids that no other test has put."""

WAIT_S = 120.0
"""Seconds for what takes one on a quiet machine; timings belong in `bench changes`."""

YEARS = count(2101)
"""Years by which a filter finds one film alone."""


@pytest.fixture(scope="module")
def index(system: System) -> Iterator[ItemIndex]:
    with closing(ItemIndex(system.settings.elasticsearch.model_copy(update={"timeout_s": 30.0}))) as made:
        yield made


def documents(system: System, index: ItemIndex) -> dict[Id | None, Document]:
    run = system.published.run()
    assert run is not None
    return {document.itemid: document for document in index.documents(run.index, system.schema)}


def listed(system: System, year: int) -> list[int]:
    answer = system.rec(userid=1, filter={"year": {"min": year, "max": year}})
    return [item["itemid"] for item in answer["item_list"]]


def write(folder: Path, *lines: str) -> str:
    path = folder / "movies.dat"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="latin-1")
    return str(path)


def restart_worker(system: System) -> None:
    killed = kill(system.settings, "worker-0")
    until(lambda: servers.pid(system.settings, "worker-0") != killed, WAIT_S, not_yet=(NotRunning,))


def test_an_imported_film_is_recommended_and_a_known_one_has_its_new_attributes(
    system: System, index: ItemIndex, tmp_path: Path
) -> None:
    new, year, known = next(NEW), next(YEARS), system.catalogue_items()[0]
    before = documents(system, index)[known]
    path = write(tmp_path, f"{new}::New Film ({year})::Drama|War", f"{known}::Known Film (1955)::Western")
    report = succeed("items", "import", path)
    assert (report["items"], report["unknown_values"]) == (2, {})
    until(lambda: listed(system, year) == [new], WAIT_S)
    shown = system.get(f"/items/{new}").json()
    assert (shown["title"], shown["year"], shown["genres"]) == ("New Film", year, ["Drama", "War"])
    until(lambda: system.get(f"/items/{known}").json()["year"] == 1955, WAIT_S)
    after = documents(system, index)[known]
    # The run knows it: new attributes, and the vector and weight of the training.
    assert after.fields["genres"] == ["Western"] and after.fields["prior"] == before.fields["prior"]
    assert after.vector == before.vector
    assert system.verify().differing == {}


def test_the_vector_of_a_new_film_is_the_one_that_the_run_predicts(system: System, index: ItemIndex) -> None:
    new, year = next(NEW), next(YEARS)
    succeed("items", "put", str(new), "title=Another", f"year={year}", 'genres=["Comedy", "War"]')
    until(lambda: new in documents(system, index), WAIT_S)
    document = documents(system, index)[new]
    layer = system.schema.events.item_change(new, 1, {"title": "Another", "year": year, "genres": ["Comedy", "War"]})
    assert layer.item is not None
    folder = runs.folder(system.settings)
    (expected,) = runs.regression(folder).vectors(system.schema, [layer.item])
    assert np.float32(document.vector).tobytes() == expected.tobytes()
    assert document.fields["prior"] == pytest.approx(NEW_PRIOR)


def test_a_withdrawn_film_is_gone_at_its_position_and_comes_back_with_its_trained_vector(
    system: System, index: ItemIndex
) -> None:
    known = system.catalogue_items()[-1]
    film, before = system.get(f"/items/{known}").json(), documents(system, index)[known]
    answer = succeed("items", "withdraw", str(known))
    assert len(answer["positions"]) == system.settings.kafka.partitions
    after = next(each for each in answer["positions"] if each["partition"] == system.partition(1))
    assert known not in [item["itemid"] for item in system.rec(userid=1, size=200, after=after)["item_list"]]
    until(lambda: known not in documents(system, index), WAIT_S)
    assert system.verify().differing == {}
    genres = "[" + ", ".join(f'"{genre}"' for genre in film["genres"]) + "]"
    succeed("items", "put", str(known), f"title={film['title']}", f"year={film['year']}", f"genres={genres}")
    until(lambda: known in documents(system, index), WAIT_S)
    assert documents(system, index)[known] == before
    assert system.verify().differing == {}


def test_an_older_version_changes_nothing(system: System) -> None:
    new, year = next(NEW), next(YEARS)
    succeed("items", "put", str(new), f"year={year}", "--version", "20")
    until(lambda: listed(system, year) == [new], WAIT_S)
    succeed("items", "withdraw", str(new), "--version", "19")
    system.wait_for_items()
    assert listed(system, year) == [new]
    assert system.get(f"/items/{new}").json()["version"] == 20


def test_a_file_with_an_error_appends_nothing(system: System, tmp_path: Path) -> None:
    before = len(system.log())
    new = next(NEW)
    good = f"{new}::Good ({next(YEARS)})::Drama"
    for bad, reason in (
        ("x::Bad (2000)::Drama", r"movies.dat, line 2: itemid must be a whole number"),
        (f"{new}::Again (2000)::Drama", "is on line 1 already; keep one"),
        ("900000::Odd (2000)::Drama|Odd", "movies.dat, line 2: genres must be one of Action, "),
        ("900000::Too few", "movies.dat, line 2: has 2 instead of 3 values"),
    ):
        assert reason in refuse("items", "import", write(tmp_path, good, bad))
    assert "does not exist" in refuse("items", "import", str(tmp_path / "none.csv"))
    assert "'colour=red' must be NAME=VALUE" in refuse("items", "put", "900000", "colour=red")
    assert "itemid must be a whole number" in refuse("items", "withdraw", "x")
    assert len(system.log()) == before


def test_a_document_that_the_index_lost_is_written_again_by_a_new_worker(system: System, index: ItemIndex) -> None:
    new, year = next(NEW), next(YEARS)
    succeed("items", "put", str(new), f"year={year}")
    until(lambda: new in documents(system, index), WAIT_S)
    system.wait_for_items()
    run = system.published.run()
    assert run is not None
    index.change(run.index, [], [new])
    assert new not in documents(system, index)
    restart_worker(system)
    until(lambda: new in documents(system, index), WAIT_S)


def test_documents_of_earlier_changes_are_written_some_at_a_time_until_none_is_left(
    system: System, index: ItemIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = [next(NEW) for _ in range(5)]
    for new in put:
        succeed("items", "put", str(new), f"year={next(YEARS)}")
    until(lambda: {*put} <= documents(system, index).keys(), WAIT_S)
    system.wait_for_items()
    run, items = system.published.run(), system.published.catalogue()
    assert run is not None
    index.change(run.index, [], put)
    monkeypatch.setattr(changed_documents, "AT_ONCE", 2)
    state = StateStores.live(system.settings)
    written = changed_documents.ChangedDocuments(system.settings)
    # A new change comes first.
    newest = put.pop()
    assert written.write(state, system.schema, read_changed(state.profiles, items, [newest]), [newest]) == []
    assert newest in documents(system, index) and put[0] not in documents(system, index)
    steps = 0
    while written.waits:
        assert written.write_earlier(state, system.schema, items) == []
        steps += 1
    assert {*put} <= documents(system, index).keys()
    assert steps >= len(put) / 2


def test_while_elasticsearch_is_away_counters_go_on_and_documents_follow(system: System) -> None:
    new, year, known = next(NEW), next(YEARS), system.catalogue_items()[3]
    system.wait_for_items()
    before = system.get(f"/items/{known}").json()["n"]
    servers.stop(system.settings, ["elasticsearch"])
    try:
        succeed("items", "put", str(new), f"year={year}")
        system.rate(900_000, known, 5)
        until(lambda: system.get(f"/items/{known}").json()["n"] == before + 1, WAIT_S)
        assert new in UnpublishedItems(system.profiles).take()
    finally:
        servers.start(system.settings, ["elasticsearch"])
    until(lambda: listed(system, year) == [new], WAIT_S)
    system.wait_for_items()
    assert system.verify().differing == {}


def test_the_benchmark_sees_every_new_film_and_puts_the_catalogue_back(system: System) -> None:
    items, userids = system.published.catalogue(), [1, 2, 3]
    shown = {itemid: system.get(f"/items/{itemid}").json() for itemid in items}
    figures = changes(
        system.settings,
        system.schema,
        items,
        userids,
        24,
        lambda what, share: None,
        per_s=3,
        events_per_s=20,
        requests_per_s=12,
    )
    # A withdrawal has a film to withdraw only where one was in a list by then.
    assert figures["kinds"]["change"] == 6 and figures["changes"] == 24
    assert figures["visible_ms"]["n"] == figures["kinds"]["put"] >= 12
    failed = {name: figures[name] for name in ("never_visible", "withdrawn_shown", "failed")}
    assert failed == dict.fromkeys(failed, 0), figures
    system.wait_for_items()
    for itemid, item in items.items():
        after = system.get(f"/items/{itemid}").json()
        # What other tests have changed is either untouched or as it was published.
        told = {name: after[name] for name in ("title", "year", "genres")}
        assert told in ({name: shown[itemid][name] for name in told}, words_of(system.schema, item))
    assert system.verify().differing == {}


def test_for_a_run_of_an_earlier_release_a_new_film_has_the_mean_of_the_index(system: System, index: ItemIndex) -> None:
    run = system.published.run()
    assert run is not None
    folder = runs.folder(system.settings, run.run)
    system.client.delete(METADATA, f"{VECTORS}:{run.run}")
    restart_worker(system)
    new = next(NEW)
    succeed("items", "put", str(new), "title=Mean", f"year={next(YEARS)}")
    until(lambda: new in documents(system, index), WAIT_S)
    _, vectors = runs.item_vectors(folder)
    np.testing.assert_allclose(documents(system, index)[new].vector, vectors.mean(axis=0), atol=0.05)
    # Publishing again writes what the run predicts.
    succeed("publish", "--force")
    regression = system.published.regression(run.run)
    assert regression is not None
    np.testing.assert_array_equal(regression.weights, runs.regression(folder).weights)
    system.wait_for_items()
    assert system.verify().differing == {}
