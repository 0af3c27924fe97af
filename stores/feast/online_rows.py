"""The rows of Feast's online store as Redis holds them: which there are, and their timestamps.

Feast's own interface reads rows by id; it tells neither which ids there are nor the timestamp of a row, on which it
depends whether the next one is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]

from compat.feast_rows import entity_of, row_key, row_key_prefix
from features.ids import Id
from features.rows import ITEM_VIEW, USER_VIEW
from stores.redis.connection import Client, reachable

VIEWS = {"userid": USER_VIEW, "itemid": ITEM_VIEW}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class StoredIds:
    """The entities that have a row.

    Attributes:
        users, items: their ids.
        unreadable: keys of the store whose entity cannot be read.
    """

    users: set[Id] = field(default_factory=set)
    items: set[Id] = field(default_factory=set)
    unreadable: list[bytes] = field(default_factory=list)


class OnlineRows:
    """Reads what is stored; every method raises Unreachable where Redis does not answer.

    Args:
        client: Redis.
        project: the Feast project.
    """

    def __init__(self, client: Client, project: str) -> None:
        self._client, self._project = client, project

    def ids(self) -> StoredIds:
        """Find all rows."""
        stored = StoredIds()
        for join_key, ids in (("userid", stored.users), ("itemid", stored.items)):
            for key in self._keys(join_key):
                try:
                    ids.add(entity_of(self._project, key))
                except Exception:
                    stored.unreadable.append(key)
        return stored

    def times(self, join_key: str, ids: Sequence[Id]) -> dict[Id, datetime]:
        """Timestamps of rows by id; without those that have none, or none that can be read."""
        field_name = f"_ts:{VIEWS[join_key]}"
        read = self._client.pipeline(transaction=False)
        for entity in ids:
            read.hget(cast(Any, self.key(join_key, entity)), field_name)
        with reachable():
            packed = cast("list[bytes | Exception | None]", read.execute(raise_on_error=False))
        return {
            entity: time
            for entity, row in zip(ids, packed, strict=True)
            if isinstance(row, bytes) and (time := _time(row)) is not None
        }

    def key(self, join_key: str, entity: Id) -> bytes:
        """The key of a row."""
        return row_key(self._project, join_key, entity)

    def _keys(self, join_key: str) -> Iterable[bytes]:
        prefix = row_key_prefix(join_key)
        pattern = b"".join(b"\\" + bytes([byte]) if byte in b"*?[]\\^-" else bytes([byte]) for byte in prefix)
        with reachable():
            yield from cast(Any, self._client.scan_iter(match=pattern + b"*" + self._project.encode(), count=1000))


def _time(packed: bytes) -> datetime | None:
    stamp = Timestamp()
    try:
        stamp.ParseFromString(packed)
    except Exception:
        return None
    return EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos / 1000)
