"""The stock Triton model repository: MODEL/config.pbtxt and MODEL/VERSION/model.onnx; a version is a run."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from stores import ENCODER, RANKER

MODELS = (ENCODER, RANKER)
NAME = "run.txt"
"""Beside each model: the id of its run."""


def add(repository: Path, run: Path, keep: set[int]) -> int:
    """Copy a run's models into the repository; the version that they have there.

    A run that is there already keeps its version. Versions that are neither this run's nor in `keep` are removed, and
    so are those of models with other inputs or outputs, which one configuration cannot describe.
    """
    versions = _versions(repository)
    version = next((number for number, name in versions.items() if name == run.name), None)
    if version is None:
        version = max(versions, default=0) + 1
    for model in MODELS:
        folder = repository / model
        folder.mkdir(parents=True, exist_ok=True)
        config, new_config = folder / "config.pbtxt", run / model / "config.pbtxt"
        same = config.is_file() and config.read_text() == new_config.read_text()
        for other in folder.iterdir():
            if other.name.isdigit() and int(other.name) != version and not (same and int(other.name) in keep):
                shutil.rmtree(other)
        if not (folder / str(version) / NAME).is_file():
            _copy(run / model / "model.onnx", run.name, folder / str(version))
        shutil.copy2(new_config, config)
    return version


def _versions(repository: Path) -> dict[int, str]:
    """Run of each version that both models have."""
    found = {}
    for mark in repository.glob(f"{RANKER}/*/{NAME}"):
        if (repository / ENCODER / mark.parent.name / NAME).is_file():
            found[int(mark.parent.name)] = mark.read_text()
    return found


def _copy(model: Path, run: str, version: Path) -> None:
    shutil.rmtree(version, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=version.parent, prefix=".new-") as temporary:
        new = Path(temporary) / "version"
        new.mkdir()
        shutil.copy2(model, new)
        (new / NAME).write_text(run)
        new.rename(version)
