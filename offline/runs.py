"""Run folders: what `train` writes and `publish` takes."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features.version import difference
from offline.data.history import Floats
from offline.data.readers import Ints
from offline.errors import RunError
from settings import Settings

FORMAT = 2
"""Of run folders; it goes up when what this version serves needs what an earlier one did not write."""

MANIFEST = "manifest.json"
USER_ENCODER, RANKER = "user_encoder", "ml_rec"
ITEMS, REFERENCE = "items.npz", "reference.json"
SCORED = "scored.npz"
"""Outputs of the served models for events that they had not learned from: `place` in the ratings, `block`, and each."""

PROBE = "probe.npz"
"""Beside each model: inputs and the trained model's outputs, with which a server proves that it has the same model."""


class InputSchema(BaseModel):
    """The models' inputs: names and order of the columns, width of the vectors, events that the encoder sees."""

    ids: list[str]
    dense: list[str]
    dim: int
    history: int


class Format(BaseModel):
    """The format of a run folder; the first had no number."""

    format: int = 1


class Manifest(Format):
    """The manifest of a run: what it is and how it was made.

    Attributes:
        run: its id, UTC time and a short hash.
        data_hash: SHA-256 over the three files of ratings.
        erased_to: by id of the log's topic and by partition, the offset of the last erasure that was completed before
            the ratings were read: those of its user, and of all erased before, were not among them.
        train: the settings of training.
        input_schema: `schema` in the file.
        metrics: by part of the data or stage.
        seconds: by stage.
        peak_memory_mb: most memory of the training processes together, in MiB.
        files: SHA-256 of each file by its path in the run folder.
    """

    model_config = ConfigDict(populate_by_name=True)

    run: str
    created: datetime
    data_hash: str
    seed: int
    train: dict[str, int | float]
    input_schema: InputSchema = Field(alias="schema")
    metrics: dict[str, dict[str, float]]
    seconds: dict[str, float]
    peak_memory_mb: float
    files: dict[str, str]
    erased_to: dict[str, dict[int, int]] = {}

    @property
    def quality(self) -> float:
        """The figure by which runs are compared: NDCG@10 of the whole pipeline on validation events."""
        return self.metrics["pipeline_validation"]["ndcg@10"]


def names(settings: Settings) -> list[str]:
    """Ids of all complete runs, oldest first."""
    return sorted(path.parent.name for path in settings.runs.glob(f"[0-9]*/{MANIFEST}"))


def folder(settings: Settings, run: str | None = None) -> Path:
    """The folder of a run, of the newest where none is named.

    Raises:
        RunError: there is no such run.
    """
    known = names(settings)
    if run is None and not known:
        raise RunError(f"no run in {settings.runs}; run `reelstream train`")
    if run is not None and run not in known:
        raise RunError(f"there is no run {run} in {settings.runs}; there are: {', '.join(known) or 'none'}")
    return settings.runs / (run or known[-1])


def manifest(path: Path) -> Manifest:
    """Read the manifest of a run folder.

    Raises:
        RunError: it is missing or malformed, or of another version or other features of reelstream.
    """
    try:
        text = (path / MANIFEST).read_bytes()
    except OSError:
        raise RunError(f"{path} has no {MANIFEST}; run `reelstream train`") from None
    try:
        # Of another format, nothing but its number is known.
        written = Format.model_validate_json(text)
        found = Manifest.model_validate_json(text) if written.format == FORMAT else None
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise RunError(f"{path.name}/{MANIFEST} is malformed at {where or 'its start'}; train again") from None
    if found is None:
        raise RunError(
            f"run {path.name} has format {written.format}, but this version of reelstream reads {FORMAT}; "
            "run `reelstream train`"
        )
    if (other := difference(found.input_schema.dense)) is not None:
        raise RunError(
            f"run {found.run} was trained on other features than this release declares ({other}); "
            "run `reelstream train`"
        )
    return found


def check(path: Path) -> Manifest:
    """Read the manifest and compare every file with it.

    Raises:
        RunError: a file is missing or differs.
    """
    found = manifest(path)
    for name, expected in found.files.items():
        if not (path / name).is_file():
            raise RunError(f"run {found.run} has no {name}; train again")
        if sha256(path / name) != expected:
            raise RunError(f"run {found.run}: {name} differs from the manifest; train again")
    return found


def item_vectors(path: Path) -> tuple[Ints, Floats]:
    """(itemid INT64 [items], ascending; [embedding, bias] FP32 [items, D + 1]) of a run folder."""
    with np.load(path / ITEMS) as stored:
        return stored["itemid"], stored["vector"]


def sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
