"""Publishing that is killed at any step, refused, or done twice at once leaves what is live as it was."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator

import pytest

import servers
from bench import Load
from cli.models import publish_run
from offline import runs
from offline.errors import RunError
from offline.publish import publication
from offline.publish.rollback import rollback
from offline.state.lock import lock
from stores import LiveRun, LockTaken, Published
from stores.elasticsearch import ItemIndex
from stores.redis.published import RESETTING
from tests.commands import line, refuse
from tests.faults.publishing import Step, copy_of, places, require_whole, standing
from tests.system.conftest import System
from tests.system.traffic import require_lists

FIRST, SECOND = "20000201T000000Z-first", "20000202T000000Z-second"


def quiet(*_: object) -> None:
    return None


@pytest.fixture(scope="module", autouse=True)
def short_lock(system: System) -> Iterator[None]:
    """A lock that expires soon, so that the tests need not wait for that of a publish that was killed."""
    soon = system.settings.publish.model_copy(update={"lock_s": 2.0})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REELSTREAM_PUBLISH__LOCK_S", "2")
        patch.setattr(system, "settings", system.settings.model_copy(update={"publish": soon}))
        yield


@pytest.fixture
def pair(system: System) -> Iterator[tuple[LiveRun, LiveRun]]:
    """The live run and the one that a rollback returns to; the newest run is live again afterwards."""
    newest = runs.folder(system.settings).name
    publish_run(system.settings, copy_of(system.settings, FIRST), quiet, force=True)
    publish_run(system.settings, newest, quiet, force=True)
    published = Published(system.profiles.client)
    live, before = published.run(), published.previous_run()
    assert live is not None and before is not None and (live.run, before.run) == (newest, FIRST)
    yield live, before
    publish_run(system.settings, newest, quiet, force=True)


def kept(system: System) -> tuple[int, set[int], set[str]]:
    """Number of indices, versions of the models in the repository, and runs with a reference."""
    index = ItemIndex(system.settings.elasticsearch)
    indices = len(index.indices())
    index.close()
    versions = {int(folder.name) for folder in system.settings.model_repository.glob("*/[0-9]*")}
    references = {name.decode() for name in system.profiles.client.hkeys("reelstream:reference")}
    return indices, versions, references


@pytest.mark.timeout(600)
def test_killed_at_any_step_a_publish_leaves_the_live_run_and_the_one_before_and_can_be_run_again(
    system: System, pair: tuple[LiveRun, LiveRun]
) -> None:
    live, before = pair
    published = Published(system.profiles.client)
    copy_of(system.settings, SECOND)
    load = Load(system.settings, sorted({event.userid for event in system.events}), 5)
    load.start()
    # `make faults` kills it at every place.
    for step, share in places(reset=False, short=True):
        switched = step in (Step.ALIAS, Step.CLEAN)
        with standing(SECOND, step, share):
            pass
        now, previous = published.run(), published.previous_run()
        assert now is not None and previous is not None
        if switched:
            assert (now.run, previous) == (SECOND, live)
            require_whole(system.settings, now, previous)
            assert rollback(system.settings).run == live.run
            publish_run(system.settings, FIRST, quiet, force=True)
            publish_run(system.settings, live.run, quiet, force=True)
            live, before = published.run(), published.previous_run()
            assert live is not None and before is not None
        else:
            assert (now, previous) == (live, before)
            require_whole(system.settings, live, before)
    answers = load.stop()
    require_lists(answers)
    assert {request.run for request in answers if request.run} <= {live.run, FIRST, SECOND}
    done = publish_run(system.settings, SECOND, quiet, force=True).live
    assert published.previous_run() == live
    assert kept(system) == (2, {done.version, live.version}, {done.run, live.run})
    require_whole(system.settings, done, live)


def test_a_publish_that_fails_its_proof_deletes_nothing(system: System, pair: tuple[LiveRun, LiveRun]) -> None:
    live, before = pair
    with pytest.MonkeyPatch.context() as patch:

        def fail(*_: object) -> None:
            raise RunError("not proved")

        patch.setattr(publication, "prove", fail)
        for reset in (False, True):
            with pytest.raises(RunError, match="not proved"):
                publish_run(system.settings, copy_of(system.settings, SECOND), quiet, force=True, reset=reset)
    published = Published(system.profiles.client)
    assert (published.run(), published.previous_run()) == (live, before)
    require_whole(system.settings, live, before)
    assert published.snapshot() is not None
    assert rollback(system.settings) == before
    assert rollback(system.settings) == live


def test_of_two_publishes_at_once_one_goes_live_and_the_other_is_told_of_it(
    system: System, pair: tuple[LiveRun, LiveRun]
) -> None:
    live, _ = pair
    commands = [line("publish", copy_of(system.settings, name), "--force") for name in (FIRST, SECOND)]
    load = Load(system.settings, sorted({event.userid for event in system.events}), 10)
    load.start()
    # On a busy machine, two seconds may pass before the one that holds the lock renews it.
    patient = {**os.environ, "REELSTREAM_PUBLISH__LOCK_S": "30"}
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=patient) for command in commands]
    errors = [process.communicate(timeout=120)[1] for process in both]
    answers = load.stop()
    won = [name for name, process in zip((FIRST, SECOND), both, strict=True) if process.returncode == 0]
    refused = [error for error, process in zip(errors, both, strict=True) if process.returncode != 0]
    assert len(won) >= 1
    assert all("is at work" in error and error.strip().splitlines()[-1].startswith("error: ") for error in refused)
    published = Published(system.profiles.client)
    now, previous = published.run(), published.previous_run()
    assert now is not None and previous is not None and now.run in won
    assert previous.run in ({live.run} if len(won) == 1 else {*won})
    require_whole(system.settings, now, previous)
    require_lists(answers)
    assert {request.degraded for request in answers} == {()}
    assert {request.run for request in answers if request.run} <= {live.run, *won}
    assert rollback(system.settings).run == previous.run


def test_a_rollback_waits_for_no_publish_that_lives_and_says_who_is_at_work(
    system: System, pair: tuple[LiveRun, LiveRun]
) -> None:
    with (
        standing(copy_of(system.settings, SECOND), Step.LOAD) as process,
        pytest.raises(LockTaken, match=rf"publish of run {SECOND} .*process {process.pid}"),
    ):
        rollback(system.settings)
    assert rollback(system.settings) == pair[1]
    assert rollback(system.settings) == pair[0]


@pytest.mark.timeout(600)
def test_killed_at_any_step_a_reset_can_be_run_again(system: System) -> None:
    newest = runs.folder(system.settings).name
    userid, itemid = system.events[0].userid, system.catalogue_items()[0]
    for step in (Step.DELETE_STATE, Step.DELETE_LOG, Step.SNAPSHOT, Step.SWITCH):
        # One place in each step; another run of the tests may take another.
        share = random.choice([share for each, share in places(reset=True) if each is step])
        servers.start(system.settings, ["worker-0"])
        system.rate(userid, itemid, 5)
        system.wait()
        with standing(newest, step, share, reset=True):
            pass
        if step is not Step.SWITCH:
            if system.profiles.client.exists(RESETTING):
                with pytest.raises(RunError, match="publish --reset` again"):
                    publish_run(system.settings, newest, quiet, force=True)
            elif (step, share) != (Step.DELETE_STATE, 0.0):
                assert system.log() == []
        publish_run(system.settings, newest, quiet, reset=True)
        assert system.log() == []
        assert system.profiles.applied() == [-1] * system.settings.kafka.partitions
    servers.start(system.settings, ["worker-0"])
    system.rate(userid, itemid, 5)
    system.wait()
    assert system.verify().differences == 0


def test_a_reset_is_refused_while_a_worker_runs(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offline.state.snapshot.WAIT_S", 1.0)
    system.wait()
    before = system.profiles.applied()
    with pytest.raises(RunError, match="workers are running"):
        publication.publish(
            system.settings,
            runs.folder(system.settings),
            reset=True,
            install=lambda: servers.derive(system.settings),
            progress=quiet,
        )
    assert system.profiles.applied() == before
    assert not system.profiles.client.exists(RESETTING)


def test_a_publish_during_a_rebuild_is_refused_in_one_line_that_names_it(system: System) -> None:
    with lock(system.settings, "rebuild", quiet):
        reason = refuse("publish")
    assert reason.count("rebuild on ") == 1
    assert "is at work" in reason
