"""The Dockerfile and what it builds from."""

from __future__ import annotations

import ast
import tomllib
from itertools import pairwise

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.compose.declared import (
    REPOSITORY,
    commands,
    copied,
    copied_from_here,
    dockerfile,
    numbers_of,
    parent_of,
    stages_of,
)

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
PACKAGES = set(PROJECT["tool"]["importlinter"]["root_packages"])
TRAINING, OF_TRAINING = {"torch", "triton"}, ("nvidia-", "cuda-", "onnx")
"""Packages that only training needs: their names, and what others begin with."""

PROGRAMS = {"python", "pip", "groupadd", "useradd", "install"}
"""Programs that the image is made with; none of them but pip fetches anything."""


def locked(name: str) -> dict[str, list[str]]:
    """The packages of a file of requirements, each with its hashes."""
    text = (REPOSITORY / "requirements" / name).read_text().replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        requirement, *options = line.partition("#")[0].split(" --")
        if requirement.strip():
            found[Requirement(requirement.strip()).name] = [option.strip() for option in options]
    return found


def for_training(name: str) -> list[str]:
    """Packages of a file of requirements that only training needs."""
    return [package for package in locked(name) if package in TRAINING or package.startswith(OF_TRAINING)]


def installed(stage: str) -> list[str]:
    """The files of requirements that a stage, or one that it copies packages from, installs."""
    sources = [each.flags["from"] for each in copied(*stages_of(stage)) if "from" in each.flags]
    run = commands(*stages_of(stage), *sources)
    return [file for words in run for option, file in pairwise(words) if option == "-r"]


def imported_by(package: str) -> set[str]:
    """The other packages that a package imports."""
    found = set()
    for file in (REPOSITORY / package).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            found |= {name.split(".")[0] for name in names}
    return found & PACKAGES - {package}


def test_the_base_image_is_pinned_and_its_python_is_one_of_ours() -> None:
    image, _, tag = parent_of("python").partition(":")
    version = numbers_of(tag)
    assert (image, len(version)) == ("python", 3)
    assert SpecifierSet(PROJECT["project"]["requires-python"]).contains(".".join(map(str, version)))


def test_the_serving_image_is_the_last_stage_and_so_the_default() -> None:
    assert dockerfile()[-1].stage == "serve"


def test_the_serving_image_installs_what_serving_needs_and_nothing_else() -> None:
    assert installed("serve") == ["/requirements/serve.txt"]
    assert installed("train") == ["/requirements/dev.txt"]


def test_serving_needs_no_torch() -> None:
    assert for_training("serve.txt") == []
    assert "torch" in for_training("dev.txt")


def test_packages_are_installed_by_hash_and_nothing_is_compiled() -> None:
    pips = [command for command in commands() if command[:2] == ["pip", "install"]]
    assert len(pips) == 2
    for pip in pips:
        assert {"--require-hashes", "--only-binary=:all:", "--no-cache-dir"} <= set(pip)
    for name in ("serve.txt", "dev.txt"):
        assert locked(name)
        for package, options in locked(name).items():
            assert options and all(option.startswith("hash=sha256:") for option in options), package


def test_nothing_is_fetched_but_packages_and_the_base_image() -> None:
    assert {each.name for each in dockerfile()} == {"FROM", "ENV", "COPY", "RUN", "WORKDIR", "USER", "CMD"}
    assert {command[0] for command in commands()} == PROGRAMS
    words = [word for each in dockerfile() for word in each.words]
    assert not [word for word in words if "://" in word or "index-url" in word]


def test_the_serving_image_holds_the_packages_that_serving_imports_and_no_training() -> None:
    held = {name for name in copied_from_here(*stages_of("serve")) if name in PACKAGES}
    assert {"api", "stream", "stores"} <= held
    for package in held:
        assert imported_by(package) <= held, package
    assert not held & {"offline", "servers", "cli", "bench"}


def test_the_training_image_holds_every_package() -> None:
    assert set(copied_from_here(*stages_of("train"))) & PACKAGES == PACKAGES


def test_both_images_have_the_settings_of_this_repository() -> None:
    assert "reelstream.toml" in copied_from_here(*stages_of("serve"))
    assert "reelstream.toml" in copied_from_here(*stages_of("train"))


def test_what_is_copied_is_there_and_nothing_else_is_sent_to_the_engine() -> None:
    lines = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*" and lines[-1] == "**/__pycache__"
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    sources = set(copied_from_here())
    assert all((REPOSITORY / source).exists() for source in sources)
    assert {"requirements/*.txt" if source.startswith("requirements/") else source for source in sources} == allowed
