"""Publishing at the lowest priority, unless the settings say otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import cli

SHOWN = "import os; from cli.aside import step_aside; step_aside(); print(os.sched_getscheduler(0), os.nice(0))"


class Stopped(Exception):
    """The command would begin now."""


def test_what_steps_aside_runs_on_idle_processors_only_and_its_exit_status_is_told() -> None:
    done = subprocess.run([sys.executable, "-c", SHOWN + "; exit(7)"], check=False, capture_output=True, text=True)
    assert done.returncode == 7
    assert done.stdout.split() == [str(os.SCHED_IDLE), str(min(19, os.nice(0) + 19))]


@pytest.mark.parametrize(
    ("words", "idle_priority", "aside"),
    [
        (["publish"], "true", True),
        (["publish", "--force"], "true", True),
        (["publish"], "false", False),
        (["publish", "--reset"], "true", False),
        (["status"], "true", False),
    ],
)
def test_a_swap_of_models_steps_aside_where_the_settings_say_so(
    monkeypatch: pytest.MonkeyPatch, words: list[str], idle_priority: str, aside: bool
) -> None:
    stepped: list[bool] = []

    def begin(_: str | None) -> None:
        raise Stopped

    monkeypatch.setattr(cli, "step_aside", lambda: stepped.append(True))
    monkeypatch.setattr(cli, "make_app", begin)
    monkeypatch.setattr(sys, "warnoptions", ["default"])
    monkeypatch.setattr(sys, "argv", ["reelstream", *words])
    monkeypatch.setenv("REELSTREAM_PUBLISH__IDLE_PRIORITY", idle_priority)
    with pytest.raises(Stopped):
        cli.main()
    assert stepped == [True] * aside
