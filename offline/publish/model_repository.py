"""The stock Triton model repository: MODEL/config.pbtxt and MODEL/VERSION/model.onnx; a version is a run.

A version appears by one rename, and a configuration is replaced by one, so that a server which watches the repository
never sees half of either. Until then, and after, the name of its folder begins with 0, which Triton ignores; one
of another name would look to it like a change of all versions, which it would load once more.
Adding takes nothing away: what is no longer needed is removed once another run is live.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection
from pathlib import Path

from offline.errors import RunError
from offline.runs import Manifest, sha256
from stores import ENCODER, RANKER

MODELS = (ENCODER, RANKER)
MODEL, CONFIG = "model.onnx", "config.pbtxt"
NAME = "run.txt"
"""Beside each model: the id of its run."""


def require_same_tensors(repository: Path, run: Path) -> None:
    """Refuse a run whose models have other inputs or outputs, by name or type, than those in the repository.

    Triton has one configuration for all versions of a model, so such a run cannot be served next to the live one.
    Widths may differ: the configuration leaves them open.

    Raises:
        RunError: if the tensors differ.
    """
    for model in MODELS:
        present = repository / model / CONFIG
        if present.is_file() and _tensors(present) != _tensors(run / model / CONFIG):
            raise RunError(
                f"the inputs or outputs of {model} in run {run.name} are named or typed differently from the live "
                "run's, and Triton cannot serve both; `reelstream publish --force` replaces the live run: lists are "
                "degraded until the new run is proved, and there is no rollback"
            )


def add(repository: Path, run: Path, manifest: Manifest, version: int | None, new: Callable[[int], int]) -> int:
    """Copy a run's models into the repository; the version that they have there.

    Args:
        repository: the repository.
        run: the run's folder.
        manifest: its manifest.
        version: the version that the run has already; a model that is missing or damaged there is copied again.
        new: gives a version number above its argument that no other publish has.
    """
    if version is None:
        version = new(max(_versions(repository), default=0))
    for model in MODELS:
        folder = repository / model
        folder.mkdir(parents=True, exist_ok=True)
        held = folder / str(version)
        whole = (held / NAME).is_file() and (held / MODEL).is_file()
        if not (folder / CONFIG).is_file() or (folder / CONFIG).read_text() != (run / model / CONFIG).read_text():
            # In a folder in which Triton does not look at files.
            partial = repository / f".new-{model}"
            shutil.copyfile(run / model / CONFIG, partial)
            partial.replace(folder / CONFIG)
        if not whole or sha256(held / MODEL) != manifest.files[f"{model}/{MODEL}"]:
            _copy(run / model / MODEL, run.name, held)
    return version


def withdraw(repository: Path, version: int) -> None:
    """Take a version out of the repository, as Triton would try again and again to load one that it cannot."""
    for model in MODELS:
        _remove(repository / model / str(version))


def remove_others(repository: Path, keep: Collection[int]) -> None:
    """Remove all versions but some, and what interrupted copies left."""
    for model in MODELS:
        for entry in list((repository / model).iterdir()):
            if entry.name.isdigit() and (entry.name.startswith("0") or int(entry.name) not in keep):
                _remove(entry)


def _versions(repository: Path) -> set[int]:
    """Versions that any of the models has."""
    return {int(entry.name) for model in MODELS for entry in repository.glob(f"{model}/[1-9]*") if entry.name.isdigit()}


def _tensors(config: Path) -> set[str]:
    """The lines of a configuration that describe inputs and outputs."""
    lines = (line.strip() for line in config.read_text().splitlines())
    return {line for line in lines if line.startswith(("input", "output"))}


def _copy(model: Path, run: str, version: Path) -> None:
    """Make a version's folder. What it holds is new: Triton goes by times of change, which the run's may precede."""
    new = _aside(version)
    new.mkdir()
    shutil.copyfile(model, new / MODEL)
    (new / NAME).write_text(run)
    _remove(version)
    new.rename(version)


def _remove(version: Path) -> None:
    """Remove a version's folder where there is one, renamed first so that no server finds it without its model."""
    if version.is_dir():
        shutil.rmtree(version.rename(_aside(version)))


def _aside(version: Path) -> Path:
    """A name next to a version that Triton ignores."""
    return version.with_name(f"0{time.time_ns()}")
