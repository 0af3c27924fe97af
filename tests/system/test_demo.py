"""The demo from a project folder of its own, and the commands that it prints, each in a new shell."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from offline.data import generate
from tests.polling import until
from tests.servers_fixture import SHORT, free_ports_environment
from tests.system.conftest import SMALL

REPOSITORY = Path(__file__).parents[2]
PRINTED = re.compile(r"^  (?:\w+ )+ +((?:curl|\.venv/bin/reelstream) .*)$", re.MULTILINE)


@dataclass
class Project:
    """A project folder with the settings in its `reelstream.toml`, as a user has it."""

    folder: Path
    ratings: Path

    def run(self, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command in a new shell, which knows nothing but where programs are."""
        known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=known | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


@contextmanager
def new_project(folder: Path) -> Iterator[Project]:
    """A project folder in which nothing was done; what is started there is stopped afterwards."""
    for name in (".venv", "Makefile", "pyproject.toml", "requirements"):
        (folder / name).symlink_to(REPOSITORY / name)
    variables = free_ports_environment(Path(".reelstream")) | SHORT | SMALL
    # Of so few ratings, which of two runs is better is chance.
    variables["REELSTREAM_PUBLISH__MARGIN"] = "0.99"
    (folder / "reelstream.toml").write_text(as_toml_file(variables))
    generate.make(folder / "ratings", users=80, items=120, events=4000, seed=3)
    made = Project(folder, folder / "ratings")
    try:
        yield made
    finally:
        made.run(".venv/bin/reelstream down")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, subprocess.CompletedProcess[str]]]:
    """A project in which the demo ran, and what it printed."""
    with new_project(tmp_path_factory.mktemp("project")) as project:
        yield project, project.run(f"make demo ML1M_DIR={project.ratings}")


@pytest.fixture
def project(demo: tuple[Project, subprocess.CompletedProcess[str]]) -> Project:
    """The project in which the demo ran."""
    assert demo[1].returncode == 0, demo[1].stderr
    return demo[0]


def as_toml_file(variables: dict[str, str]) -> str:
    """Settings given as variables, as a TOML file."""
    top, sections = [], []
    for name, value in variables.items():
        section, _, key = name.removeprefix("REELSTREAM_").lower().rpartition("__")
        line = f"{key} = {value if value.isdigit() else json.dumps(value)}"
        (sections if section else top).append((section, line))
    text = [line for _, line in top]
    for section in dict.fromkeys(section for section, _ in sections):
        text += [f"[{section}]", *(line for other, line in sections if other == section)]
    return "\n".join(text) + "\n"


def test_a_data_folder_that_is_not_there_is_an_error_in_one_line_and_not_remembered(tmp_path: Path) -> None:
    with new_project(tmp_path) as project:
        done = project.run(".venv/bin/reelstream demo", ML1M_DIR="nowhere")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert re.fullmatch(r"error: .*/nowhere does not exist; set ML1M_DIR to .*", line)
    assert not (project.folder / "nowhere").exists()
    assert not (project.folder / ".reelstream" / "data-folder").exists()


def test_every_command_that_the_demo_prints_works_as_printed_in_a_new_shell(
    project: Project, demo: tuple[Project, subprocess.CompletedProcess[str]]
) -> None:
    _, done = demo
    for words in ("redis", "training", "publishing"):
        assert any(line.startswith(words) for line in done.stderr.splitlines()), done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    commands = PRINTED.findall(done.stdout)
    assert len(commands) == 7, done.stdout
    for command in commands:
        told = project.run(command.replace("curl ", "curl --fail-with-body -sS ", 1))
        assert told.returncode == 0, (command, told.stdout, told.stderr)
    replay = ".venv/bin/reelstream replay --max --limit 200 --json"
    assert json.loads(until(lambda: project.run(replay).stdout, 120))["failed"] == 0


def test_the_demo_stopped_and_started_again_needs_no_folder(project: Project) -> None:
    down = project.run("make down")
    assert down.returncode == 0, down.stderr
    again = project.run("make demo")
    assert again.returncode == 0, again.stderr
    assert "downloading" not in again.stderr
    assert project.run(".venv/bin/reelstream verify").returncode == 0


def test_ratings_other_than_those_of_the_run_are_refused_and_not_remembered(project: Project) -> None:
    generate.make(project.folder / "others", users=80, items=120, events=4000, seed=4)
    done = project.run(".venv/bin/reelstream demo", ML1M_DIR="others")
    assert done.returncode == 1
    assert "was trained on other ratings" in done.stderr
    assert (project.folder / ".reelstream" / "data-folder").read_text() == f"{project.ratings}\n"
