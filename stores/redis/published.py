"""The catalogue, the schema, the snapshot and the run that `publish` wrote into Redis.

reelstream:catalogue   items of the catalogue
reelstream:schema      JSON: the description of the data set, with what the data taught (`features.schema`); absent for
                       a state that an earlier release wrote, which is of MovieLens-1M
reelstream:snapshot    JSON: data_hash, created, events, users, items
reelstream:resetting   data hash of the state that a reset is deleting; absent once all of it is gone
reelstream:state:version  version of the state (`Schema.state_version`), set before the first of a snapshot is written
reelstream:state:fields   JSON: names of the fields that are packed without them (see `features.state_fields`)
reelstream:snapshot:begun  data hash of a snapshot that is being written; absent once it is complete
reelstream:others      hash shard -> the snapshot's counters of each item in all other shards
reelstream:items       stream: items whose feature rows changed

The schema, the snapshot, the catalogue and the counters carry versions of their own (docs/versions.md).

All but `resetting` belong to a generation of the state (see `stores.redis.generations`), and those of the generation g2
begin with `g2:`. What belongs to the whole system, as the runs do, is in `stores.redis.published_runs`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import msgpack

from datasets import first_schema
from features import Id, Item, Schema, ascending
from features.state_fields import StateFields
from features.stored import VersionError
from features.version import FIRST_STATE
from stores.errors import NotPublished, OtherVersion
from stores.redis.connection import Client, reachable
from stores.redis.earlier_state import EarlierState
from stores.redis.generations import FIRST, prefix_of
from stores.redis.live import Snapshot
from stores.redis.packing import UNREADABLE, pack_catalogue, pack_others, unpack_catalogue, unpack_others
from stores.redis.published_runs import PublishedRuns, read_record

CATALOGUE = "reelstream:catalogue"
SCHEMA = "reelstream:schema"
SNAPSHOT = "reelstream:snapshot"
ITEMS = "reelstream:items"
OTHERS = "reelstream:others"
RESETTING = "reelstream:resetting"
REBUILD = "rebuild"
"""In place of the data hash: a rebuild is deleting the state, and keeps the log."""
BEGUN = "reelstream:snapshot:begun"
STATE = "reelstream:state:version"
FIELDS = "reelstream:state:fields"
KEPT_NOTICES = 10_000

REPLACE_STATE = "go back to that release, or start over with `reelstream publish --reset`"


class Published(PublishedRuns):
    """Reads and writes what is published: a generation's catalogue, schema and snapshot, and the run in use."""

    def __init__(self, client: Client, generation: str = FIRST) -> None:
        super().__init__(client)
        self._prefix = prefix_of(generation)

    def snapshot(self) -> Snapshot | None:
        """The snapshot, None before the first.

        Raises:
            OtherVersion: if it has another version.
        """
        return read_record(Snapshot, self._get(self._key(SNAPSHOT)), "the snapshot", REPLACE_STATE)

    def schema(self) -> Schema:
        """The schema of the state, whole or begun.

        Raises:
            NotPublished: if there is no state yet.
            OtherVersion: if this release cannot read it.
        """
        with reachable():
            keys = [self._key(name) for name in (SCHEMA, SNAPSHOT, BEGUN, CATALOGUE)]
            packed, *state = cast("list[bytes | None]", self.client.mget(keys))
        if packed is None and not any(state):
            raise NotPublished("there is no state yet; run `reelstream publish`")
        return _schema_of(packed)

    def catalogue(self) -> dict[Id, Item]:
        """The items by id.

        Raises:
            NotPublished: before the first `publish`.
            OtherVersion: if it has another version.
        """
        with reachable():
            keys = [self._key(name) for name in (CATALOGUE, SCHEMA)]
            packed, schema = cast("list[bytes | None]", self.client.mget(keys))
        if packed is None:
            raise NotPublished("there is no catalogue yet; run `reelstream publish`")
        try:
            return unpack_catalogue(_schema_of(schema), packed)
        except VersionError as error:
            raise OtherVersion(
                f"the catalogue in Redis is of another release: {error}; `reelstream publish` writes it again"
            ) from error

    def set_catalogue(self, items: Mapping[Id, Item]) -> None:
        """Write the items."""
        with reachable():
            self.client.set(self._key(CATALOGUE), pack_catalogue(items.values()))

    def set_snapshot(self, snapshot: Snapshot) -> None:
        """Record that the snapshot is complete."""
        write = self.client.pipeline(transaction=True)
        write.set(self._key(SNAPSHOT), snapshot.model_dump_json())
        write.delete(self._key(BEGUN))
        with reachable():
            write.execute()

    def resetting(self) -> str | None:
        """Data hash of the state that an unfinished reset is deleting; None where there is no such reset."""
        packed = self._get(RESETTING)
        return None if packed is None else packed.decode()

    def begin_reset(self) -> None:
        """Note that the state is being deleted, before the first of it goes."""
        try:
            snapshot = self.snapshot()
        except (OtherVersion, ValueError):
            snapshot = None
        with reachable():
            self.client.set(RESETTING, snapshot.data_hash if snapshot else "", nx=True)

    def begin_rebuild(self) -> None:
        """Note that the state is being deleted to be folded again from the log, before the first of it goes."""
        with reachable():
            self.client.set(RESETTING, REBUILD)

    def end_reset(self) -> None:
        """Note that all of the state and the log is deleted."""
        with reachable():
            self.client.delete(RESETTING)

    def snapshot_begun(self) -> str | None:
        """Data hash of a snapshot whose writing has begun and not ended; None where there is none."""
        packed = self._get(self._key(BEGUN))
        return None if packed is None else packed.decode()

    def begin_snapshot(self, data_hash: str, schema: Schema) -> None:
        """Note that the snapshot of these data is being written, before the first of it is."""
        with reachable():
            self.client.mset(
                {
                    self._key(STATE): schema.state_version,
                    self._key(FIELDS): StateFields.declared(schema).model_dump_json(),
                    self._key(SCHEMA): schema.to_json(),
                    self._key(BEGUN): data_hash,
                }
            )

    def require_state_version(self) -> None:
        """Refuse a state, whole or begun, whose profiles and rows hold other counts than are declared.

        Raises:
            OtherVersion: if it is one.
            Unreachable: if Redis does not answer.
        """
        if (earlier := self.earlier_state()) is not None:
            raise OtherVersion(earlier.refusal)

    def earlier_state(self) -> EarlierState | None:
        """The version and fields of a state, whole or begun, that is not of the declared version; None where it is.

        Raises:
            OtherVersion: if this release cannot read the schema of the state, and so declares no version for it.
            Unreachable: if Redis does not answer.
        """
        with reachable():
            keys = [self._key(name) for name in (STATE, FIELDS, SCHEMA, SNAPSHOT, BEGUN)]
            version, fields, schema, *state = cast("list[bytes | None]", self.client.mget(keys))
        if not any(state):
            return None
        stored, declared = version.decode(errors="replace") if version else FIRST_STATE, _schema_of(schema)
        if stored == declared.state_version:
            return None
        return EarlierState.of(stored, fields, declared.state_version)

    def others(self, shard: int) -> dict[Id, tuple[int, int]] | None:
        """(events, positive ones) of each item in the snapshot's other shards; None where the snapshot does not tell.

        Raises:
            VersionError: if they have another version.
        """
        with reachable():
            packed = cast("bytes | None", self.client.hget(self._key(OTHERS), str(shard)))
        return None if packed is None else unpack_others(packed)

    def set_others(self, shard: int, counters: Mapping[Id, tuple[int, int]]) -> None:
        """Write what `others` reads."""
        with reachable():
            self.client.hset(self._key(OTHERS), str(shard), cast(Any, pack_others(counters)))

    def delete_all(self) -> None:
        """Forget the catalogue, the schema, the snapshot and the notices; the run stays."""
        keys = (SNAPSHOT, BEGUN, STATE, FIELDS, CATALOGUE, SCHEMA, ITEMS, OTHERS)
        with reachable():
            self.client.delete(*map(self._key, keys))

    def tell_items(self, itemids: Sequence[Id]) -> None:
        """Notify holders of item features in memory that these have changed."""
        with reachable():
            self.client.xadd(self._key(ITEMS), {"ids": cast(bytes, msgpack.packb(list(itemids)))}, maxlen=KEPT_NOTICES)

    def last_notice(self) -> str:
        """Position of the last notice, to follow from."""
        with reachable():
            last = cast("list[tuple[bytes, dict[bytes, bytes]]]", self.client.xrevrange(self._key(ITEMS), count=1))
        return last[0][0].decode() if last else "0-0"

    def changed_items(self, since: str) -> tuple[str, list[Id] | None]:
        """Items told of after the position `since`, and the position to continue from; does not wait.

        In place of the items, None where a notice cannot be read, as one of another release: any may have changed.
        """
        with reachable():
            stored = self.client.xrange(self._key(ITEMS), min=f"({since}")
            entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", stored)
        itemids = set[Id]()
        for position, _ in entries:
            since = position.decode()
        try:
            for _, fields in entries:
                itemids.update(msgpack.unpackb(fields[b"ids"]))
            return since, ascending(itemids)
        except (KeyError, *UNREADABLE):
            return since, None

    def _key(self, name: str) -> str:
        """The key of what belongs to the generation."""
        return self._prefix + name


@lru_cache(maxsize=4)
def _schema_of(packed: bytes | None) -> Schema:
    """A state's schema from what is stored of it.

    Raises:
        OtherVersion: if this release cannot read it.
    """
    try:
        return first_schema() if packed is None else Schema.from_json(packed)
    except ValueError as error:
        raise OtherVersion(f"the schema in Redis is not one that this release can read; {REPLACE_STATE}") from error
