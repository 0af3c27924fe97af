"""Run folders: what `train` writes and `publish` takes."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features import Schema
from features.ids import Id
from features.stored import VersionError
from features.version import difference
from offline.data.history import Floats
from offline.errors import RunError
from scoring.metadata import Regression
from scoring.run_ids import RunIds
from settings import Settings

FORMAT = 3
"""Of run folders; it goes up when what this version serves needs what an earlier one did not write."""

MANIFEST = "manifest.json"
USER_ENCODER, RANKER = "user_encoder", "ml_rec"
ITEMS, REFERENCE = "items.npz", "reference.json"
SCHEMA, IDS = "schema.json", "ids.json"
"""The schema of the data set, and the ids that the models know."""

METADATA = "metadata.npz"
"""The regression from attributes to vectors, for items that come after the training; earlier releases wrote none."""

COMING_IDS = "coming-ids.json"
"""The file that takes the place of IDS once the manifest names its hash."""

SCORED = "scored.npz"
"""Outputs of the served models for events that they had not learned from: `place` in the ratings, `block`, and each."""

VALIDATION = "-validation"
"""The end of the name of a run that has seen the training events alone (`offline.data.split.split_of_training`)."""

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
        data_hash: SHA-256 over the files of the data set.
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


def names(settings: Settings, *, validation: bool = False) -> list[str]:
    """Ids of all complete runs, oldest first; of those for `reelstream publish`, or of those for validation."""
    known = sorted(path.parent.name for path in settings.runs.glob(f"[0-9]*/{MANIFEST}"))
    return [name for name in known if name.endswith(VALIDATION) == validation]


def folder(settings: Settings, run: str | None = None, *, validation: bool = False) -> Path:
    """The folder of a run, of the newest where none is named.

    Raises:
        RunError: there is no such run among those for `reelstream publish`, or among those for validation.
    """
    known = names(settings, validation=validation)
    kind, train = ("validation run", "reelstream train --validation") if validation else ("run", "reelstream train")
    if run is None and not known:
        raise RunError(f"no {kind} in {settings.runs}; run `{train}`")
    if run is not None and run not in known:
        raise RunError(f"there is no {kind} {run} in {settings.runs}; there are: {', '.join(known) or 'none'}")
    return settings.runs / (run or known[-1])


def manifest(path: Path) -> Manifest:
    """Read the manifest of a run folder.

    Raises:
        RunError: it is missing or malformed, or of another version or other features of reelstream.
    """
    found = _stored(path)
    if (other := difference(found.input_schema.dense, schema(path).dense_columns)) is not None:
        raise RunError(
            f"run {found.run} was trained on other features than this release declares ({other}); "
            "run `reelstream train`"
        )
    return found


def _stored(path: Path) -> Manifest:
    """The manifest of a run folder, also of one that was trained on other features; raises RunError otherwise."""
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
    return found


def check(path: Path) -> Manifest:
    """Read the manifest and compare every file with it.

    Raises:
        RunError: a file is missing or differs.
    """
    found = manifest(path)
    for name, expected in found.files.items():
        file = _ids_file(path, found) if name == IDS else path / name
        if not file.is_file():
            raise RunError(f"run {found.run} has no {name}; train again")
        if sha256(file) != expected:
            raise RunError(f"run {found.run}: {name} differs from the manifest; train again")
    return found


def schema(path: Path) -> Schema:
    """The schema of the data set that a run was trained on.

    Raises:
        RunError: it is missing or malformed, or of another version of reelstream.
    """
    try:
        return Schema.from_json((path / SCHEMA).read_text("utf-8"))
    except VersionError as error:
        raise RunError(f"{path.name}/{SCHEMA} is of another release: {error}; train again") from None
    except (OSError, ValueError):
        raise RunError(f"{path.name}/{SCHEMA} is missing or malformed; train again") from None


def ids(path: Path) -> RunIds:
    """The ids that a run's models know.

    Raises:
        RunError: they are missing or malformed, or of another version of reelstream.
    """
    try:
        return RunIds.unpack(_ids_file(path, _stored(path)).read_text("utf-8"))
    except VersionError as error:
        raise RunError(f"{path.name}/{IDS} is of another release: {error}; train again") from None
    except (OSError, ValueError):
        raise RunError(f"{path.name}/{IDS} is missing or malformed; train again") from None


def item_vectors(path: Path) -> tuple[tuple[Id, ...], Floats]:
    """(ids of items, ascending; [embedding, bias] FP32 [items, D + 1]) of a run folder; raises RunError as `ids`."""
    itemids = tuple(itemid for itemid in ids(path).items.ids if itemid is not None)
    with np.load(path / ITEMS) as stored:
        return itemids, stored["vector"]


def regression(path: Path) -> Regression:
    """The regression from attributes to vectors of a run folder; the mean of all vectors where it has none.

    Raises:
        RunError: it is malformed, or of another version of reelstream; or as `ids`.
    """
    try:
        return Regression.unpack((path / METADATA).read_bytes())
    except FileNotFoundError:
        return Regression.of_mean(item_vectors(path)[1])
    except VersionError as error:
        raise RunError(f"{path.name}/{METADATA} is of another release: {error}; train again") from None
    except (OSError, ValueError):
        raise RunError(f"{path.name}/{METADATA} is malformed; train again") from None


def without_users(path: Path, userids: Collection[Id]) -> bool:
    """Write the ids of a run again without users who are erased, who are unknown to its models from then on.

    It may be killed at any step, and is then to be called again.

    Returns:
        False where the run has none of them.

    Raises:
        RunError: as `ids`.
    """
    # Imported late: a training needs none of the stores.
    from stores.archive import durable

    known, found = ids(path), _stored(path)
    if _ids_file(path, found) == path / COMING_IDS:
        (path / COMING_IDS).replace(path / IDS)
    left = known.without_users(userids)
    if left == known:
        return False
    text = (left.pack() + "\n").encode()
    durable.write(path / COMING_IDS, text)
    changed = found.model_copy(update={"files": {**found.files, IDS: hashlib.sha256(text).hexdigest()}})
    durable.write(path / MANIFEST, (as_json(changed) + "\n").encode())
    (path / COMING_IDS).replace(path / IDS)
    durable.sync_folder(path)
    return True


def as_json(manifest: Manifest) -> str:
    """A manifest as its file holds it."""
    return manifest.model_dump_json(by_alias=True, indent=2)


def _ids_file(path: Path, found: Manifest) -> Path:
    """The file with the ids that the manifest means; one that replaces IDS has another name until it does."""
    coming = path / COMING_IDS
    return coming if coming.is_file() and sha256(coming) == found.files.get(IDS) else path / IDS


def sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
