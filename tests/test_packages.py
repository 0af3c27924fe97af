"""The packages: one list in pyproject.toml, and everything that names them."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
PACKAGES = set(TOOLS["importlinter"]["root_packages"])


def test_the_list_names_every_package_there_is() -> None:
    assert {file.parent.name for file in ROOT.glob("*/__init__.py")} - {"tests"} == PACKAGES


def test_every_package_has_a_place_in_the_layers() -> None:
    contracts = TOOLS["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    names = re.findall(r"[a-z]+", " ".join(layer for layer in layers if not layer.startswith("(")))
    assert len(names) == len(set(names))
    assert set(names) == PACKAGES


def test_the_readme_says_what_each_package_holds() -> None:
    table = re.search(
        r"^\| package \| holds \|\n\|[-|]+\|\n((?:\|.*\n)+)", (ROOT / "README.md").read_text(), flags=re.MULTILINE
    )
    assert table
    rows = re.findall(r"^\| `(\w+)/` \| (.+) \|$", table[1], flags=re.MULTILINE)
    assert len(rows) == table[1].count("\n")
    assert {name for name, _ in rows} == PACKAGES


def test_types_and_security_are_checked_in_every_package() -> None:
    assert set(TOOLS["mypy"]["packages"]) == PACKAGES
    commands = subprocess.run(["make", "-n", "test"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    (bandit,) = re.findall(r"bandit -q -ll -r (.+)", commands)
    assert set(bandit.split()) == PACKAGES


def tables() -> dict[str, set[str]]:
    """By package whose docstring has a table of its modules, two blanks or more after their names: the names in it."""
    found = {}
    for file in sorted(ROOT.glob("[a-z]*/**/__init__.py")):
        rows = re.findall(
            r"^(\w[\w/, ]*?)  +\S", ast.get_docstring(ast.parse(file.read_text())) or "", flags=re.MULTILINE
        )
        if rows and file.relative_to(ROOT).parts[0] in PACKAGES:
            found[str(file.parent.relative_to(ROOT))] = set(re.findall(r"\w+", " ".join(rows)))
    return found


@pytest.mark.parametrize("package", tables())
def test_a_table_of_modules_names_those_there_are(package: str) -> None:
    folder = ROOT / package
    modules = {file.stem for file in folder.glob("*.py")} | {file.parent.name for file in folder.glob("*/__init__.py")}
    assert tables()[package] <= modules
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    assert modules - {"__init__", "__main__", "errors"} <= set(re.findall(r"\w+", docstring))


def test_every_doctest_is_collected() -> None:
    options = TOOLS["pytest"]["ini_options"]
    assert set(options["testpaths"]) == PACKAGES | {"tests"}
    assert "--doctest-modules" in options["addopts"]
    left_out = re.findall(r"--ignore=(\S+)", options["addopts"])
    assert left_out and not any(">>>" in (ROOT / name).read_text() for name in left_out)
