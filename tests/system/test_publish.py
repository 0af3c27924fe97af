"""A new run goes live under requests, and back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import servers
from bench import Load, hot_publish
from cli.models import publish_run
from offline import runs
from offline.errors import RunError
from offline.publish.rollback import rollback
from offline.train.pipeline import train
from stores import Published, StoreError
from stores.elasticsearch import ItemIndex
from tests.faults.publishing import copy_of
from tests.polling import until
from tests.system.conftest import System


def quiet(*_: object) -> None:
    return None


@pytest.fixture
def live(system: System) -> Iterator[str]:
    """The id of the run that is live; it is live again afterwards, whatever the test does."""
    published = Published(system.profiles.client)
    run = published.run().run
    yield run
    if published.run().run != run:
        publish_run(system.settings, run, quiet, force=True)


def until_run(system: System, run: str) -> None:
    until(lambda: system.rec(userid=system.events[0].userid)["run"] == run, 10)


def test_a_run_goes_live_under_requests_and_back_without_a_failed_or_mixed_answer(system: System, live: str) -> None:
    other = copy_of(system.settings, "20000101T000000Z-other")
    userids = sorted({event.userid for event in system.events})
    system.wait()
    state = system.profiles.applied()

    def put_live() -> str:
        return publish_run(system.settings, other, quiet, force=True).live.run

    figures = hot_publish(system.settings, userids, put_live, per_s=20, seconds=9)
    assert (figures["failed"], figures["mixed"]) == (0, 0), figures
    assert figures["runs"] == {"before": live, "after": other}
    assert system.profiles.applied() == state
    load = Load(system.settings, userids, 20)
    load.start()
    assert rollback(system.settings).run == live
    until_run(system, live)
    assert {(request.status, request.degraded) for request in load.stop()} == {(200, ())}
    assert rollback(system.settings).run == other
    until_run(system, other)
    assert rollback(system.settings).run == live
    until_run(system, live)


def test_a_run_of_another_width_is_served_beside_the_live_one(system: System, live: str) -> None:
    """As when the demo's quick model is followed by a full one."""
    settings = system.settings
    shape = {"dim": settings.train.dim + 8, "encoders": 1, "history": 90, "refit_epochs": 0}
    other = train(settings.model_copy(update={"train": settings.train.model_copy(update=shape)}), quiet).name
    userid = system.events[0].userid
    try:
        publish_run(settings, other, quiet, force=True)
        for run in (other, live, other):
            until_run(system, run)
            assert system.rec(userid=userid)["degraded"] == []
            rollback(settings)
    finally:
        # Other tests publish the newest run.
        publish_run(settings, live, quiet, force=True)
        shutil.rmtree(settings.runs / other)
    until_run(system, live)


def processes(system: System, version: int) -> set[int]:
    """The processes in which Triton runs a version of the models."""
    children = psutil.Process(servers.pid(system.settings, "triton")).children(recursive=True)
    return {child.pid for child in children if any(f"/{version}/model.py" in word for word in child.cmdline())}


def test_the_models_that_answer_are_not_loaded_once_more_with_the_next(system: System, live: str) -> None:
    version = Published(system.profiles.client).run().version
    answer = processes(system, version)
    assert len(answer) == 2
    publish_run(system.settings, copy_of(system.settings, "20000101T000000Z-next"), quiet, force=True)
    assert processes(system, version) == answer
    assert rollback(system.settings).run == live
    until_run(system, live)


def test_a_run_that_is_worse_on_validation_data_is_refused(system: System, live: str) -> None:
    worse = copy_of(system.settings, "20000102T000000Z-worse", quality=0.0001)
    with pytest.raises(RunError, match="--force"):
        publish_run(system.settings, worse, quiet)
    assert Published(system.profiles.client).run().run == live


def test_only_the_live_run_and_the_one_before_are_kept(system: System, live: str) -> None:
    for name in ("20000103T000000Z-a", "20000104T000000Z-b"):
        publish_run(system.settings, copy_of(system.settings, name), quiet, force=True)
    publish_run(system.settings, live, quiet, force=True)
    index = ItemIndex(system.settings.elasticsearch)
    assert len(index.indices()) == 2
    assert len(list(system.settings.model_repository.glob("ml_rec/[0-9]*"))) == 2
    until_run(system, live)
    assert system.rec(userid=system.events[0].userid)["degraded"] == []


def test_a_damaged_run_is_refused_and_the_live_one_stays(system: System, live: str) -> None:
    damaged = copy_of(system.settings, "20000105T000000Z-damaged")
    model: Path = system.settings.runs / damaged / "ml_rec" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(RunError, match="differs from the manifest"):
        publish_run(system.settings, damaged, quiet, force=True)
    assert Published(system.profiles.client).run().run == live


def test_a_run_that_is_not_there_is_named_with_those_that_are(system: System) -> None:
    with pytest.raises(RunError, match="there is no run nowhere"):
        publish_run(system.settings, "nowhere", quiet)


def test_a_version_that_triton_cannot_load_is_told_with_its_reason_and_taken_out_again(
    system: System, live: str
) -> None:
    """Triton would try again every second to load it; the versions that answer go on answering."""
    broken = copy_of(system.settings, "20000106T000000Z-broken")
    folder = system.settings.runs / broken
    model = folder / "ml_rec" / "model.onnx"
    model.write_bytes(b"no model")
    manifest = json.loads((folder / runs.MANIFEST).read_text())
    manifest["files"]["ml_rec/model.onnx"] = runs.sha256(model)
    (folder / runs.MANIFEST).write_text(json.dumps(manifest))
    before = versions(system)
    with pytest.raises(StoreError, match=r"has not loaded version \d+ of ml_rec .*INVALID_PROTOBUF"):
        publish_run(system.settings, broken, quiet, force=True)
    assert versions(system) <= before
    until_run(system, live)
    assert system.rec(userid=system.events[0].userid)["degraded"] == []


def versions(system: System) -> set[str]:
    """Every version of a model in the repository and in the one that Triton serves."""
    folders = (system.settings.model_repository, servers.derived_models(system.settings))
    return {str(path) for folder in folders for path in folder.glob("*/[0-9]*")}
