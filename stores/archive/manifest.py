"""The manifest: what an archive belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from stores.archive import durable
from stores.errors import ArchiveError
from stores.kafka.epochs import Epoch, Epochs
from stores.kafka.log_check import LogIdentity

MANIFEST = "manifest.json"

ErasedTo = dict[str, dict[int, int]]
"""By id of the log's topic and by partition, the offset of an erasure."""


class HistoryManifest(BaseModel):
    """The offline history in an archive.

    Attributes:
        data_hash: SHA-256 of the data set.
        sha256: of each file, by its name.
        events, users, items: how many it has.
        erased: users who were erased, whom the data set has and the history has not.
        erased_to: by id of the log's topic and by partition, the offset of the last erasure after which the history
            was written without its user.
    """

    data_hash: str
    sha256: dict[str, str]
    events: int
    users: int
    items: int
    erased: int = 0
    erased_to: ErasedTo = {}


class Manifest(BaseModel):
    """The manifest of an archive.

    Attributes:
        schema_version: of the layout of the archive.
        cluster, topic: ids of the log whose records it holds; None before the first are archived.
        partitions: of that log.
        epochs: those of the log that have ended. A manifest that has any is of version 2, so that a release that does
            not know them refuses it.
        history: the offline history; None before it is archived.
    """

    schema_version: Literal[1, 2] = 1
    cluster: str | None = None
    topic: str | None = None
    partitions: int | None = None
    epochs: list[Epoch] = []
    history: HistoryManifest | None = None

    @property
    def log(self) -> LogIdentity | None:
        """The log whose records the archive holds; None before the first are archived."""
        return None if self.cluster is None or self.topic is None else LogIdentity(self.cluster, self.topic)

    def log_epochs(self, partitions: int) -> Epochs:
        """The epochs of the log, which has so many partitions now."""
        return Epochs(partitions, self.epochs)

    def require_epochs(self, ended: int) -> None:
        """Require that the epochs of the log are known here of which the state knows.

        Args:
            ended: how many have ended, as is noted with the state.

        Raises:
            ArchiveError: if some are missing.
        """
        if len(self.epochs) < ended:
            raise ArchiveError(
                "the manifest of the archive does not say up to where the log had fewer partitions; restore it from a "
                "backup"
            )

    def grown(self, log: LogIdentity, epochs: Epochs) -> Manifest:
        """The same for a log with these epochs."""
        version, ended = 2 if epochs.ended else 1, list(epochs.ended)
        return self.of_log(log, epochs.partitions).model_copy(update={"schema_version": version, "epochs": ended})

    def of_log(self, log: LogIdentity, partitions: int) -> Manifest:
        """The same for the records of a log."""
        return self.model_copy(update={"cluster": log.cluster, "topic": log.topic, "partitions": partitions})


def read(folder: Path) -> Manifest | None:
    """Read the manifest of an archive; None where there is no archive.

    Raises:
        ArchiveError: if it cannot be read, or is of another version.
    """
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise ArchiveError(
            f"{path} cannot be read or is of another version ({type(error).__name__}); restore it from a backup, or "
            "use the release that wrote it"
        ) from error


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of an archive."""
    durable.write(folder / MANIFEST, manifest.model_dump_json(indent=1).encode())
