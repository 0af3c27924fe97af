"""The Dockerfile and what it builds from."""

from __future__ import annotations

import ast
import re
import tomllib

from tests.compose.declared import REPOSITORY, copied_from_here, dockerfile, parent_of, stages_of

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
PACKAGES = set(PROJECT["tool"]["importlinter"]["root_packages"])
TRAINING = re.compile(r"^(torch|triton|nvidia-\w+|onnx\w*|cuda-\w+)==", flags=re.MULTILINE)


def locked(name: str) -> str:
    return (REPOSITORY / "requirements" / name).read_text()


def installed(stage: str) -> list[str]:
    """The files of requirements that a stage, or one that it copies packages from, installs."""
    copies = [each.value for each in dockerfile() if each.name == "COPY" and each.stage in stages_of(stage)]
    sources = [match[1] for value in copies if (match := re.match(r"--from=(\S+)", value))]
    runs = [each.value for each in dockerfile() if each.name == "RUN" and each.stage in [*stages_of(stage), *sources]]
    return re.findall(r"-r (\S+)", " ".join(runs))


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
    match = re.fullmatch(r"python:(3\.\d+)\.\d+-slim-\w+", parent_of("python"))
    assert match
    lowest, highest = re.findall(r"3\.\d+", PROJECT["project"]["requires-python"])
    assert int(lowest[2:]) <= int(match[1][2:]) < int(highest[2:])


def test_the_serving_image_is_the_last_stage_and_so_the_default() -> None:
    assert dockerfile()[-1].stage == "serve"


def test_the_serving_image_installs_what_serving_needs_and_nothing_else() -> None:
    assert installed("serve") == ["/requirements/serve.txt"]
    assert installed("train") == ["/requirements/dev.txt"]


def test_serving_needs_no_torch() -> None:
    assert TRAINING.findall(locked("serve.txt")) == []
    assert "torch" in TRAINING.findall(locked("dev.txt"))


def test_packages_are_installed_by_hash_and_nothing_is_compiled() -> None:
    pips = [each.value for each in dockerfile() if "pip install" in each.value]
    assert len(pips) == 2
    for pip in pips:
        assert "--require-hashes" in pip and "--only-binary=:all:" in pip and "--no-cache-dir" in pip
    for name in ("serve.txt", "dev.txt"):
        entries = re.split(r"\n(?=\S)", locked(name).strip())
        assert entries and all("--hash=sha256:" in entry for entry in entries if not entry.startswith("#"))


def test_nothing_is_fetched_but_packages_and_the_base_image() -> None:
    assert {each.name for each in dockerfile()} == {"FROM", "ENV", "COPY", "RUN", "WORKDIR", "USER", "CMD"}
    for each in dockerfile():
        assert not re.search(r"https?:|curl|wget|apt|index-url", each.value)


def test_the_serving_image_holds_the_packages_that_serving_imports_and_no_training() -> None:
    held = {name for name in copied_from_here("serve") if name in PACKAGES}
    assert {"api", "stream", "stores"} <= held
    for package in held:
        assert imported_by(package) <= held, package
    assert not held & {"offline", "servers", "cli", "bench"}


def test_the_training_image_holds_every_package() -> None:
    assert set(copied_from_here("train")) & PACKAGES == PACKAGES


def test_both_images_have_the_settings_of_this_repository() -> None:
    assert "reelstream.toml" in copied_from_here("serve")
    assert "reelstream.toml" in copied_from_here("train")


def test_what_is_copied_is_there_and_nothing_else_is_sent_to_the_engine() -> None:
    lines = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*" and lines[-1] == "**/__pycache__"
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    sources = {each.value.split()[0] for each in dockerfile() if each.name == "COPY" and "--from=" not in each.value}
    assert all((REPOSITORY / source).exists() for source in sources)
    assert {"requirements/*.txt" if source.startswith("requirements/") else source for source in sources} == allowed
