"""`reelstream verify` reports every kind of stored value that is not what it must be, by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from elasticsearch import Elasticsearch

import features.profile
import servers
from cli.models import publish_run
from offline import runs
from stores import NotPublished, Published, Unreachable
from stores.redis.published import RESETTING
from tests.system.conftest import System
from tests.system.tampering import (
    ROUNDS,
    Tampering,
    flipped,
    found,
    require_events,
    require_reported,
    restored,
    user,
)


@pytest.fixture(autouse=True)
def some_events(system: System) -> None:
    """Events in the log, where a reset took them."""
    require_events(system)


@pytest.mark.parametrize("round_of", ROUNDS, ids=range(len(ROUNDS)))
def test_what_was_tampered_with_in_redis_is_reported_by_name(system: System, round_of: dict[str, Tampering]) -> None:
    require_reported(system, round_of)


@pytest.mark.parametrize("name", ["applied", "served"])
def test_a_position_that_was_taken_back_is_reported_with_its_shard(system: System, name: str) -> None:
    shard = next(shard for shard, at in enumerate(system.profiles.applied()) if at is not None and at > 0)
    # A worker notices within a second, and may have folded the event again in another.
    stopped = servers.stop(system.settings, ["workers"])
    try:
        with restored(system), pytest.raises(Unreachable, match=rf"1 events behind after 1 s \(shard {shard} by 1\)"):
            system.profiles.client.decr(f"{system.profiles.tag(shard)}:{name}")
            found(system, wait_s=1.0)
    finally:
        servers.start(system.settings, stopped)


@pytest.fixture
def elastic(system: System) -> Iterator[tuple[Elasticsearch, str]]:
    """A client, and the live run's index; the index is whole again afterwards."""
    run = Published(system.profiles.client).run()
    assert run is not None
    with Elasticsearch(system.settings.elasticsearch.url) as client:
        yield client, run.index
        client.indices.delete(index=run.index)
        publish_run(system.settings, run.run, lambda *_: None, force=True)


def test_what_was_tampered_with_in_elasticsearch_is_reported_by_name(
    system: System, elastic: tuple[Elasticsearch, str]
) -> None:
    client, index = elastic
    one, two, three, four, five = system.catalogue_items()[:5]
    folder = runs.folder(system.settings)
    vectors = dict(zip(*runs.item_vectors(folder), strict=True))
    client.update(index=index, id=str(one), doc={"title": "another"})
    client.update(index=index, id=str(two), doc={"prior": 0.5})
    client.update(
        index=index, id=str(three), doc={"vector": [float(vectors[three][0]) + 1e-3, *vectors[three][1:].tolist()]}
    )
    client.delete(index=index, id=str(four))
    client.update(index=index, id=str(five), doc={"genres": []})
    client.index(index=index, id="987654", document={"itemid": 987_654, "title": "stray"})
    client.indices.refresh(index=index)
    client.indices.delete_alias(index=index, name=system.settings.elasticsearch.alias)
    differing = found(system).differing
    wanted = {
        *(f"document {itemid} of {index}" for itemid in (one, two, four, five, 987_654)),
        f"vector of document {three} of {index}",
        f"alias {system.settings.elasticsearch.alias}",
    }
    assert wanted <= differing.keys(), differing
    assert differing.keys() - wanted <= {f"search in {index}", f"count of {index}"}


@pytest.mark.parametrize("file", ["model.onnx", "config.pbtxt"])
def test_a_bit_of_a_file_that_triton_serves_is_reported_by_name(system: System, file: str) -> None:
    run = Published(system.profiles.client).run()
    assert run is not None
    folder = system.settings.model_repository / "ml_rec"
    path = folder / str(run.version) / file if file == "model.onnx" else folder / file
    before = path.read_bytes()
    path.write_bytes(flipped(before))
    try:
        differing = found(system).differing
    finally:
        path.write_bytes(before)
    assert f"ml_rec/{file} of version {run.version}" in differing, differing


def test_a_fold_with_a_mistake_is_found_by_the_oracle_though_verify_folds_with_it_too(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    def quiet(*_: object) -> None:
        return None

    newest = runs.folder(system.settings).name
    right = features.profile._count

    def mistaken(codes: Any, profile: Any, item: Any, event: Any, by: int) -> None:
        right(codes, profile, item, event, by)
        if codes.positive[event[2]] and item.itemid % 2:
            profile.likes -= by

    with monkeypatch.context() as patch:
        patch.setattr(features.profile, "_count", mistaken)
        publish_run(system.settings, newest, quiet, reset=True)
        with_mistake = found(system, sample=200)
    without = found(system, sample=200)
    publish_run(system.settings, newest, quiet, reset=True)
    assert with_mistake.differing
    assert all(name.startswith("sample: ") for name in with_mistake.differing), with_mistake.differing
    userid, _ = user(system)
    assert f"sample: profile of user {userid}" in with_mistake.differing
    assert f"sample: feature row of user {userid}" in with_mistake.differing
    assert f"profile and seen filter of user {userid}" in without.differing


def test_nothing_differs_and_everything_is_counted(system: System) -> None:
    system.send_events(system.events[:300])
    system.wait_for_drift()
    result = found(system, sample=1000)
    assert result.differing == {}
    items = len(Published(system.profiles.client).catalogue())
    assert result.items == result.documents == items
    assert result.attributes == len({event.userid for event in system.events})
    assert result.sampled >= items + result.attributes
    assert result.drift_events > 0


def test_a_reset_that_was_cut_off_is_named_instead_of_its_differences(system: System) -> None:
    with restored(system), pytest.raises(NotPublished, match="publish --reset` again"):
        system.profiles.client.set(RESETTING, "")
        found(system)
