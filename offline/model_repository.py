"""The stock Triton model repository: MODEL/config.pbtxt and MODEL/VERSION/model.onnx; a version is a run.

A version appears by one rename, and a configuration is replaced by one, so that a server which watches the repository
never sees half of either. Adding takes nothing away: what is no longer needed is removed once another run is live.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from offline.errors import RunError
from offline.runs import Manifest, sha256
from stores import ENCODER, RANKER

MODELS = (ENCODER, RANKER)
MODEL, CONFIG = "model.onnx", "config.pbtxt"
NAME = "run.txt"
"""Beside each model: the id of its run."""

PARTIAL = ".new-"


def require_same_tensors(repository: Path, run: Path) -> None:
    """Refuse a run whose models have other inputs or outputs than those in the repository.

    Triton has one configuration for all versions of a model, so that such a run cannot stand beside the live one.

    Raises:
        RunError: if the tensors differ.
    """
    for model in MODELS:
        present = repository / model / CONFIG
        if present.is_file() and _tensors(present) != _tensors(run / model / CONFIG):
            raise RunError(
                f"run {run.name} has other inputs or outputs of {model} than the live run, and Triton cannot serve "
                "both; `reelstream publish --force` replaces the live run: until it is proved, lists are degraded, "
                "and there is no rollback"
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
        if not whole or sha256(held / MODEL) != manifest.files[f"{model}/{MODEL}"]:
            _copy(run / model / MODEL, run.name, held)
        if not (folder / CONFIG).is_file() or (folder / CONFIG).read_text() != (run / model / CONFIG).read_text():
            partial = folder / f"{PARTIAL}{CONFIG}"
            shutil.copy2(run / model / CONFIG, partial)
            partial.replace(folder / CONFIG)
    return version


def remove_others(repository: Path, keep: Collection[int]) -> None:
    """Remove all versions but some, and what interrupted copies left."""
    for model in MODELS:
        for entry in (repository / model).iterdir():
            if entry.name.isdigit() and int(entry.name) not in keep:
                # Renamed first, so that a server never finds a version without its model.
                gone = entry.rename(entry.with_name(f"{PARTIAL}{entry.name}"))
                shutil.rmtree(gone)
            elif entry.name.startswith(PARTIAL):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _versions(repository: Path) -> set[int]:
    """Versions that any of the models has."""
    return {int(entry.name) for model in MODELS for entry in repository.glob(f"{model}/[0-9]*") if entry.name.isdigit()}


def _tensors(config: Path) -> set[str]:
    """The lines of a configuration that describe inputs and outputs."""
    lines = (line.strip() for line in config.read_text().splitlines())
    return {line for line in lines if line.startswith(("input", "output"))}


def _copy(model: Path, run: str, version: Path) -> None:
    with tempfile.TemporaryDirectory(dir=version.parent, prefix=PARTIAL) as temporary:
        new = Path(temporary) / "version"
        new.mkdir()
        shutil.copy2(model, new)
        (new / NAME).write_text(run)
        if version.exists():
            version.rename(Path(temporary) / "damaged")
        new.rename(version)
