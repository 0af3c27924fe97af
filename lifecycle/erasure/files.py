"""The files of the archive and its data folder without erased users.

A process may be killed at any write: the same state follows from the files, and the next one goes on. A backup made in
between holds each user who is in its history with the erasure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from features import Id
from lifecycle.erasure import history, records
from lifecycle.erasure.due import Due, Rules
from lifecycle.erasure.given_up import formers
from settings import Settings
from stores.archive.archive import Archive
from stores.archive.history import settle, without_users
from stores.archive.manifest import ErasedTo


@dataclass(frozen=True)
class Rewritten:
    """The result of a rewriting.

    Attributes:
        records: replaced.
        left: the data folder, where it is elsewhere and still holds ratings of these users.
    """

    records: int
    left: Path | None


def settle_files(archive: Archive) -> None:
    """Delete what a process has left that was killed, also where all of its erasures are completed.

    Raises:
        ArchiveError: if the archive is damaged.
    """
    with archive.locked():
        settle(archive)
        for each in (archive, *formers(archive)):
            each.settle()


def rewrite_files(
    settings: Settings,
    archive: Archive,
    dues: Mapping[int, Due],
    userids: Collection[Id],
    erased_to: ErasedTo,
    rules: Rules,
    telling: Callable[[str], None] = lambda what: None,
) -> Rewritten:
    """Write the files again without users.

    Args:
        settings: all settings.
        archive: the archive.
        dues: by partition of the log, the erasures.
        userids: all users who are erased, also in logs that were given up.
        erased_to: by id of the log's topic and by partition, the offset of the last erasure.
        rules: of the log.
        telling: told of each step.

    Raises:
        ArchiveError: if the archive is damaged.
    """
    telling("rewriting the history")
    with archive.locked():
        former = records.rewrite_former(archive, userids)
        without_users(archive, userids, erased_to)
    left = history.rewrite_data_folder(settings, archive)
    telling("rewriting the archive")
    with archive.locked():
        return Rewritten(former + records.rewrite_all(archive, dues, rules), left)
