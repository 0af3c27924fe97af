"""The archive after an erasure that was killed at any of its writes: completed by the next one, and in a backup."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from features import Erasure, Event
from lifecycle.backup import ARCHIVE, copy_archive
from lifecycle.backup_folder import BackupFolder
from lifecycle.erasure.due import Rules, due, users
from lifecycle.erasure.files import rewrite_files, settle_files
from lifecycle.forgotten.files import in_files
from lifecycle.forgotten.mentions import Mentions
from offline.data import generate, readers
from offline.data.history import State
from offline.state.archived_history import archive_history
from settings import Settings
from stores import Logged, decode_event
from stores.archive.archive import FORMER, Archive
from stores.archive.durable import TEMPORARY
from stores.archive.history import COMING, read_history
from stores.kafka.epochs import Epochs
from tests.lifecycle.test_erasure_files import ALL, settings_in
from tests.movielens import SCHEMA

ERASED, OTHER = 3, 5
LOG = [Event(ERASED, 1, 5, 1), Event(OTHER, 1, 4, 2), Event(ERASED, 2, 3, 3), Erasure(ERASED), Event(OTHER, 2, 2, 4)]
PER_FILE = 2


class Killed(BaseException):
    """The end of a process at this place."""


def prepared(folder: Path) -> Settings:
    """Ratings of 12 users, also in the archive, with the records of a log and of one that was given up."""
    settings = settings_in(folder)
    generate.make(settings.data_folder, users=12, items=60, events=300, seed=1)
    ratings = readers.load(settings)
    archive_history(settings, ratings, readers.data_hash(ratings))
    archive = Archive(settings.archive_folder)
    records = [Logged(0, at, *SCHEMA.events.encode(event)) for at, event in enumerate(LOG)]
    with archive.locked():
        for of_log in (archive, Archive(archive.folder / FORMER / "one")):
            for start in range(0, len(records), PER_FILE):
                some = records[start : start + PER_FILE]
                of_log.append(0, start, start + len(some), some)
    return settings


def state_of(archive: Archive) -> dict[str, Any]:
    """The state that follows from the history and the records of an archive."""
    history = read_history(archive)
    assert history is not None
    state = State(history.schema, history.catalogue)
    for values in zip(history.userid, history.itemid, history.code, history.ts, strict=True):
        state.take(Event(*map(int, values)))
    for file in archive.files(0):
        for record in archive.read(file):
            if (event := decode_event(record, SCHEMA, 1, 1e10)) is not None:
                state.take(event)
    return {"profiles": state.profiles, "seen": state.seen, "counters": state.counters}


def erase(settings: Settings) -> None:
    """Complete the erasures, as `sweep` does with files."""
    archive = Archive(settings.archive_folder)
    settle_files(archive)
    rules = Rules(SCHEMA, Epochs(1), 1e10)
    dues = {0: due(archive, rules, 0, len(LOG), ALL)}
    if users(dues):
        rewrite_files(settings, archive, dues, users(dues), {"topic": {0: dues[0].end - 1}}, rules)


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, effect: int) -> Iterator[list[str]]:
    """Kill who changes files for the time after so many; the changes."""
    effects: list[str] = []

    def dying(patch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        as_it_is = getattr(owner, name)

        def one_more(*given: Any, **named: Any) -> Any:
            if len(effects) == effect:
                raise Killed
            effects.append(name)
            return as_it_is(*given, **named)

        patch.setattr(owner, name, one_more)

    with monkeypatch.context() as patch:
        for owner, name in (
            (Path, "replace"),
            (Path, "unlink"),
            (Path, "write_bytes"),
            (shutil, "rmtree"),
        ):
            dying(patch, owner, name)
        yield effects


def restored_from_backup(archive: Archive, folder: Path) -> Archive:
    """A copy of the archive as `backup` makes it and `restore` reads it."""
    backups, target = BackupFolder(folder / "backups"), folder / "restored"
    with backups.writing():
        for name, stored in copy_archive(archive, backups, [len(LOG)]).items():
            backups.extract(stored, target.joinpath(*PurePosixPath(name).relative_to(ARCHIVE).parts))
    return Archive(target)


def test_an_erasure_that_is_killed_at_any_write_is_completed_by_the_next_and_loses_nothing_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = prepared(tmp_path / "before")
    expected = state_of(Archive(before.archive_folder))
    assert ERASED not in expected["profiles"] and OTHER in expected["profiles"]
    assert len(list(in_files(before, Mentions(ERASED)))) > 4
    places_of_other = sum(1 for _ in in_files(before, Mentions(OTHER)))
    for effect in range(1_000):
        folder = tmp_path / str(effect)
        shutil.copytree(before.state, folder / "state")
        settings, completed = settings_in(folder / "state"), True
        with killed_at(monkeypatch, effect) as effects:
            try:
                erase(settings)
            except Killed:
                completed = False
        archive = Archive(settings.archive_folder)
        assert state_of(archive) == expected, effects
        shutil.copytree(archive.folder, folder / "copy")
        assert state_of(restored_from_backup(Archive(folder / "copy"), folder)) == expected, effects
        erase(settings)
        assert list(in_files(settings, Mentions(ERASED))) == [], effects
        assert sum(1 for _ in in_files(settings, Mentions(OTHER))) == places_of_other, effects
        assert state_of(archive) == expected, effects
        assert [*archive.folder.rglob(f"{TEMPORARY}*"), *archive.folder.glob(COMING)] == [], effects
        shutil.rmtree(folder)
        if completed:
            break
    assert completed and effect > 15
