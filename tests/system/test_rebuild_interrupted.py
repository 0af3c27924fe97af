"""A rebuild under load while it, a worker or Redis is killed at random."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time

import pytest

from stores import Generations
from tests.commands import figures, in_own_process, line, succeed
from tests.polling import until
from tests.processes import kill
from tests.system.conftest import System
from tests.system.traffic import EVENTS_PER_S, Traffic, require_all_count, require_lists

pytestmark = [pytest.mark.usefixtures("own_state"), pytest.mark.long, pytest.mark.timeout(600)]

LONGEST_S = 12.0
"""Seconds from the first key of a rebuild in these tests to its end, or a little more."""

SHORT_LOCK = {"REELSTREAM_PUBLISH__LOCK_S": "10"}
"""Of a rebuild that is killed, so that the load need not go on until its lock expires."""


def begun(generations: Generations, **variables: str) -> subprocess.Popen[str]:
    """A rebuild that has begun to write its generation."""
    rebuilding = subprocess.Popen(
        line("rebuild", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | variables,
    )
    until(lambda: generations.unused() or rebuilding.poll() is not None, 120, "the rebuild does not begin")
    return rebuilding


@pytest.mark.parametrize("half", [0, pytest.param(1, marks=pytest.mark.thorough)])
def test_killed_at_any_moment_a_rebuild_leaves_a_live_state_that_is_whole_and_can_be_run_again(
    system: System, half: int
) -> None:
    share = (half + random.SystemRandom().random()) / 2
    generations = Generations(system.client)
    with Traffic(system).running() as running:
        until(lambda: len(running.sent) > EVENTS_PER_S)
        killed = begun(generations, **SHORT_LOCK)
        time.sleep(LONGEST_S * share)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        after = generations.live().name
        done = figures(in_own_process("rebuild", "--json"))
        time.sleep(2.0)
        answers = running.stop()
    assert running.failure is None
    require_lists(answers)
    assert running.generations == list(dict.fromkeys(["", after, done["generation"]]))
    assert generations.unused() == []
    require_all_count(system, running.sent)


@pytest.mark.parametrize("store", ["worker-0", pytest.param("redis", marks=pytest.mark.thorough)])
def test_a_worker_or_redis_killed_during_a_rebuild_costs_no_event(system: System, store: str) -> None:
    generations = Generations(system.client)
    with Traffic(system).running() as running:
        until(lambda: len(running.sent) > EVENTS_PER_S)
        rebuilding = begun(generations)
        time.sleep(LONGEST_S / 2 * random.SystemRandom().random())
        kill(system.settings, store)
        output, error = rebuilding.communicate(timeout=300)
        time.sleep(2.0)
        answers = running.stop()
    assert running.failure is None
    require_lists(answers)
    live = until(lambda: [generations.live().name], 60, not_yet=(Exception,))[0]
    if rebuilding.returncode == 0:
        assert live == json.loads(output)["generation"]
    else:
        assert store == "redis" and error.strip(), error
    require_all_count(system, running.sent)
    succeed("rebuild")
    assert generations.unused() == []
    require_all_count(system, running.sent)
