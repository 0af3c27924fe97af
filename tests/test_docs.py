"""The documentation names only what there is: files, links, settings and commands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import COMMANDS, GROUPS
from settings.model import Settings

ROOT = Path(__file__).parents[1]
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
PAGES = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md"))
CURRENT = [page for page in PAGES if page.parent.name != "notes" and page.name != "CHANGELOG.md"]
"""Pages about what is; a note or the changelog may name what was."""

CODE = re.compile(r"`([^`\n]+)`")
SECTIONS = {name: field.annotation for name, field in Settings.model_fields.items()}
NOT_SETTINGS = {"drift.alarms", "recall.live"}
"""A topic and a figure, which look like settings."""


def code(page: Path) -> Iterator[str]:
    """The words in backquotes on a page."""
    yield from CODE.findall(page.read_text())


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    lost = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not lost


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_every_file_that_is_named_exists(page: Path) -> None:
    named = re.compile(rf"((?:{'|'.join([*PACKAGES, 'tests', 'docs', 'requirements'])})/[\w./-]*)(?:::(\w+))?")
    for each in code(page):
        if match := named.fullmatch(each):
            file, function = match.groups()
            assert (ROOT / file).exists()
            assert function is None or f"def {function}(" in (ROOT / file).read_text()


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_every_setting_that_is_named_exists(page: Path) -> None:
    lost = []
    for each in code(page):
        match = re.match(r"([a-z]+)\.([a-z0-9_]+)(?: = .*)?$", each)
        if match and match[1] in SECTIONS and each not in NOT_SETTINGS and match[2] != "py":
            fields = getattr(SECTIONS[match[1]], "model_fields", {})
            if match[2] not in fields:
                lost.append(each)
    assert not lost


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_every_command_that_is_named_exists(page: Path) -> None:
    known = {*COMMANDS, *GROUPS, "settings"}
    named = [match[1] for each in code(page) if (match := re.match(r"(?:\.venv/bin/)?reelstream ([a-z]+)", each))]
    assert set(named) <= known


def test_the_readme_leads_to_every_guide_page() -> None:
    readme = (ROOT / "README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        if page.name != "add-a-feature.md":  # docs/features.md leads there
            assert f"docs/{page.name}" in readme
    for folder in ("notes", "decisions"):
        index = (ROOT / "docs" / folder / "README.md").read_text()
        for page in (ROOT / "docs" / folder).glob("*.md"):
            assert page.name == "README.md" or page.name in index


def test_decisions_say_context_decision_alternatives_and_consequences() -> None:
    for page in (ROOT / "docs" / "decisions").glob("0*.md"):
        headings = re.findall(r"^## (\w+)", page.read_text(), flags=re.MULTILINE)
        assert headings == ["Context", "Decision", "Alternatives", "Consequences"], page
