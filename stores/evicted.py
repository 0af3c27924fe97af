"""Users whose profiles were evicted from Redis: a SQLite file for each generation of the state.

A row holds a user's profile and seen filter as Redis had them, with the version of the state. It is synced to the disk
before Redis forgets the user. From then on the shard keeps a mark, which names the row by the user and the offset at
which the user was evicted. Without its row a mark means damage, never a user without events.

A row outlives the return of its user: a Redis that loses its last second of writes has the marks of before.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgpack

from features import Id
from stores.archive import durable
from stores.errors import Unreachable, Unreadable
from stores.redis.readable import readable_offset

# Ids are of no declared type: of one data set they are integers, of another texts.
TABLE = """
CREATE TABLE IF NOT EXISTS evicted (
    userid NOT NULL, offset INTEGER NOT NULL, version TEXT NOT NULL, profile BLOB NOT NULL, seen BLOB NOT NULL,
    PRIMARY KEY (userid, offset)
) WITHOUT ROWID
"""

BUSY_S = 10.0
"""Seconds that a process waits for another one that writes."""

SUFFIXES = ("", "-wal", "-shm")
"""Endings of the names of the files that SQLite makes."""


@dataclass(frozen=True)
class StoredUser:
    """A user as Redis holds one.

    Attributes:
        profile: the packed profile.
        seen: the seen filter, packed entries by item.
    """

    profile: bytes
    seen: Mapping[bytes, bytes]


class EvictedUsers:
    """The evicted users of a generation; safe to share between threads and processes.

    Every method raises Unreachable if the file cannot be read or written.

    Args:
        folder: the folder of these files.
        generation: the generation.
    """

    def __init__(self, folder: Path, generation: str) -> None:
        self._path = folder / f"{generation or 'first'}.sqlite"

    def put(self, offset: int, users: Mapping[Id, StoredUser], version: str) -> None:
        """Write users whose shard stands at an offset; they are on the disk when this returns.

        Args:
            offset: of the shard.
            users: by id.
            version: of the state.
        """
        rows = [
            (userid, offset, version, user.profile, msgpack.packb(dict(user.seen))) for userid, user in users.items()
        ]
        # The row of the last return stays, those before it are not needed any more.
        older = "DELETE FROM evicted WHERE userid = ?1 AND offset < (SELECT max(offset) FROM evicted WHERE userid = ?1)"
        with self._connected() as client, client:
            client.executemany(older, [(userid,) for userid in users])
            client.executemany("INSERT OR REPLACE INTO evicted VALUES (?, ?, ?, ?, ?)", rows)

    def read(self, marks: Mapping[Id, int]) -> dict[Id, StoredUser]:
        """The users that were evicted at some offsets; without those that the file does not hold.

        Args:
            marks: the offset by user.
        """
        if not marks or not self._path.exists():
            return {}
        users = {}
        with self._connected() as client:
            for userid, offset in marks.items():
                query = "SELECT profile, seen FROM evicted WHERE userid = ? AND offset = ?"
                if (row := client.execute(query, (userid, offset)).fetchone()) is not None:
                    users[userid] = StoredUser(row[0], msgpack.unpackb(row[1]))
        return users

    def rows_of(self, userid: Id) -> int:
        """Rows of a user, also of one who has returned."""
        if not self._path.exists():
            return 0
        with self._connected() as client:
            query = "SELECT count(*) FROM evicted WHERE userid = ?"
            return int(client.execute(query, (userid,)).fetchone()[0])

    def erase(self, userids: Iterable[Id]) -> None:
        """Delete all rows of some users, and overwrite what they held, in the journal too."""
        if not self._path.exists():
            return
        with self._connected() as client:
            with client:
                client.executemany("DELETE FROM evicted WHERE userid = ?", [(userid,) for userid in userids])
            until = time.monotonic() + BUSY_S
            # Whoever reads at this moment keeps the journal as it is.
            while client.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                if time.monotonic() > until:
                    raise sqlite3.OperationalError("the journal is in use")
                time.sleep(0.05)

    def delete_all(self) -> None:
        """Delete the file."""
        for suffix in SUFFIXES:
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """A connection, for as long as an operation lasts."""
        try:
            if new := not self._path.exists():
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with closing(sqlite3.connect(self._path, timeout=BUSY_S)) as client:
                client.execute("PRAGMA journal_mode = WAL")
                client.execute("PRAGMA synchronous = FULL")
                client.execute("PRAGMA secure_delete = ON")
                client.execute(TABLE)
                if new:
                    self._path.chmod(0o600)
                    durable.sync_folder(self._path.parent)
                yield client
        except (sqlite3.Error, OSError) as error:
            raise Unreachable(f"the evicted profiles in {self._path} cannot be used ({error})") from error


def read_marked(
    evicted: EvictedUsers | None, userids: Sequence[Id], marks: Sequence[object]
) -> dict[Id, StoredUser | Unreadable]:
    """The users of whom the shard holds a mark, from their rows; in place of one that lacks its row, an error.

    Args:
        evicted: their rows; None for a state without any.
        userids: users.
        marks: the mark of each, None where there is none.

    Raises:
        Unreachable: if the rows cannot be read.
    """
    marked = {userid: mark for userid, mark in zip(userids, marks, strict=True) if mark is not None}
    if not marked:
        return {}
    offsets = {userid: offset for userid, mark in marked.items() if (offset := readable_offset(mark)) is not None}
    rows = evicted.read(offsets) if evicted else {}
    lost = "the profile of user {} was evicted, and its file does not hold it; run `reelstream rebuild`"
    return {userid: rows.get(userid) or Unreadable(lost.format(userid)) for userid in marked}
