"""The catalogue, the snapshot and the run that `publish` wrote into Redis.

reelstream:catalogue   items of the catalogue
reelstream:snapshot    JSON: data_hash, created, events, users, items
reelstream:run         JSON: the run in use; its one switch at publishing is the writing of this key
reelstream:run:before  JSON: the run that a rollback returns to
reelstream:version     number of the newest version that a publish was given
reelstream:resetting   data hash of the state that a reset is deleting; absent once all of it is gone
reelstream:state:version  version of the state (see `features.version`), set before the first of a snapshot is written
reelstream:state:fields   JSON: names of the fields that are packed without them (see `features.state_fields`)
reelstream:snapshot:begun  data hash of a snapshot that is being written; absent once it is complete
reelstream:reference   hash run -> JSON: what the runs' inputs, labels and scores were like at training
reelstream:others      hash shard -> the snapshot's counters of each item in all other shards
reelstream:items       stream: items whose feature rows changed

The run, the snapshot, the references, the catalogue and the counters carry versions of their own (docs/versions.md).

The run and the one before it, their references, `version` and `resetting` belong to the whole system. The others belong
to a generation of the state (see `stores.redis.generations`), and those of the generation g2 begin with `g2:`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar, cast

import msgpack

from features import Item
from features.state_fields import DECLARED_FIELDS
from features.stored import Record, VersionError
from features.version import FIRST_STATE, STATE_VERSION
from stores.errors import LockLost, NotPublished, OtherVersion
from stores.redis.connection import Client, reachable
from stores.redis.earlier_state import EarlierState
from stores.redis.generations import FIRST, prefix_of
from stores.redis.live import LiveRun, Snapshot
from stores.redis.packing import UNREADABLE, pack_catalogue, pack_others, unpack_catalogue, unpack_others
from stores.redis.publish_lock import LOCK, PublishLock

CATALOGUE = "reelstream:catalogue"
SNAPSHOT = "reelstream:snapshot"
RUN = "reelstream:run"
PREVIOUS = "reelstream:run:before"
ITEMS = "reelstream:items"
REFERENCE = "reelstream:reference"
OTHERS = "reelstream:others"
VERSION = "reelstream:version"
RESETTING = "reelstream:resetting"
REBUILD = "rebuild"
"""In place of the data hash: a rebuild is deleting the state, and keeps the log."""
BEGUN = "reelstream:snapshot:begun"
STATE = "reelstream:state:version"
FIELDS = "reelstream:state:fields"
KEPT_NOTICES = 10_000

R = TypeVar("R", bound=Record)

REPLACE_RUN = "go back to that release, or replace it with `reelstream publish --force`"
REPLACE_STATE = "go back to that release, or start over with `reelstream publish --reset`"

SWITCH = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 1 end
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[2] then return 2 end
redis.call('SET', KEYS[2], ARGV[3])
if ARGV[4] == '' then redis.call('DEL', KEYS[3]) else redis.call('SET', KEYS[3], ARGV[4]) end
return 0
"""
"""Switches the live run where the caller holds the lock and the live run is the one that the caller read."""

NEXT_VERSION = """
local version = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(ARGV[1])) + 1
redis.call('SET', KEYS[1], version)
return version
"""


class Published:
    """Reads and writes the run in use, and the catalogue and the snapshot of a generation of the state."""

    def __init__(self, client: Client, generation: str = FIRST) -> None:
        self.client = client
        self._prefix = prefix_of(generation)

    def snapshot(self) -> Snapshot | None:
        """The snapshot, None before the first.

        Raises:
            OtherVersion: if it has another version.
        """
        return _read(Snapshot, self._get(self._key(SNAPSHOT)), "the snapshot", REPLACE_STATE)

    def run(self) -> LiveRun | None:
        """The run in use, None before the first.

        Raises:
            OtherVersion: if it has another version.
        """
        return _read(LiveRun, self._get(RUN), "the live run", REPLACE_RUN)

    def catalogue(self) -> dict[int, Item]:
        """The items by id.

        Raises:
            NotPublished: before the first `publish`.
            OtherVersion: if it has another version.
        """
        packed = self._get(self._key(CATALOGUE))
        if packed is None:
            raise NotPublished("there is no catalogue yet; run `reelstream publish`")
        try:
            return unpack_catalogue(packed)
        except VersionError as error:
            raise OtherVersion(
                f"the catalogue in Redis is of another release: {error}; `reelstream publish` writes it again"
            ) from error

    def set_catalogue(self, items: dict[int, Item]) -> None:
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

    def previous_run(self) -> LiveRun | None:
        """The run that was in use before, None before the second.

        Raises:
            OtherVersion: if it has another version.
        """
        return _read(LiveRun, self._get(PREVIOUS), "the previous run", "publish a run by its name")

    def run_to_replace(self, force: bool = False) -> tuple[LiveRun | None, bytes]:
        """The run in use, and its stored form, by which `switch` knows it again.

        Args:
            force: give None in place of a run that cannot be read.

        Raises:
            OtherVersion: if it has another version, unless forced.
        """
        packed = self._get(RUN) or b""
        try:
            return _read(LiveRun, packed, "the live run", REPLACE_RUN), packed
        except (OtherVersion, ValueError):
            if not force:
                raise
            return None, packed

    def switch(self, run: LiveRun, stored: bytes, previous: LiveRun | None, lock: PublishLock) -> None:
        """Switch to a run, in one step with the run that a rollback returns to.

        Args:
            run: the run to put live.
            stored: the run in use, as `run_to_replace` gave it.
            previous: the run that a rollback returns to; None for none.
            lock: the lock, which must still be held.

        Raises:
            LockLost: if it is not, or if the run in use is another by now; nothing is changed.
            Unreachable: if Redis does not answer; it may or may not have switched.
        """
        before = previous.model_dump_json() if previous else ""
        with reachable():
            keys = (LOCK, RUN, PREVIOUS)
            values = (lock.value, stored, run.model_dump_json(), before)
            refused = cast(int, self.client.eval(SWITCH, len(keys), *keys, *values))
        if refused == 1:
            raise lock.lost()
        if refused == 2:
            raise LockLost("the live run was changed without the lock; nothing was switched; run the command again")

    def new_version(self, above: int) -> int:
        """A version number that no publish was given before, above that of everything that is there."""
        with reachable():
            return int(cast(int, self.client.eval(NEXT_VERSION, 1, VERSION, above)))

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

    def begin_snapshot(self, data_hash: str) -> None:
        """Note that the snapshot of these data is being written, before the first of it is."""
        with reachable():
            self.client.mset(
                {
                    self._key(STATE): STATE_VERSION,
                    self._key(FIELDS): DECLARED_FIELDS.model_dump_json(),
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
            Unreachable: if Redis does not answer.
        """
        with reachable():
            keys = [self._key(name) for name in (STATE, FIELDS, SNAPSHOT, BEGUN)]
            version, fields, *state = cast("list[bytes | None]", self.client.mget(keys))
        stored = version.decode(errors="replace") if version else FIRST_STATE
        if stored == STATE_VERSION or not any(state):
            return None
        return EarlierState.of(stored, fields)

    def reference(self, run: str) -> Any:
        """The reference of a run as its folder has it; None where it has none."""
        text = self.reference_text(run)
        return json.loads(text) if text else None

    def reference_text(self, run: str) -> str | None:
        """The reference of a run as JSON; None where it has none."""
        with reachable():
            packed = cast("bytes | None", self.client.hget(REFERENCE, run))
        return packed.decode() if packed else None

    def set_reference(self, run: str, text: str) -> None:
        """Write the reference of a run."""
        with reachable():
            self.client.hset(REFERENCE, run, text)

    def keep_references(self, keep: Collection[str]) -> None:
        """Forget the references of all runs but `keep`."""
        with reachable():
            known = {run.decode() for run in cast("list[bytes]", self.client.hkeys(REFERENCE))}
            if stale := known - set(keep):
                self.client.hdel(REFERENCE, *stale)

    def others(self, shard: int) -> dict[int, tuple[int, int]] | None:
        """(ratings, likes) of each item in the snapshot's other shards; None where the snapshot does not tell.

        Raises:
            VersionError: if they have another version.
        """
        with reachable():
            packed = cast("bytes | None", self.client.hget(self._key(OTHERS), str(shard)))
        return None if packed is None else unpack_others(packed)

    def set_others(self, shard: int, counters: Mapping[int, tuple[int, int]]) -> None:
        """Write what `others` reads."""
        with reachable():
            self.client.hset(self._key(OTHERS), str(shard), cast(Any, pack_others(counters)))

    def delete_all(self) -> None:
        """Forget the catalogue, the snapshot and the notices; the run stays."""
        with reachable():
            self.client.delete(*(self._key(key) for key in (SNAPSHOT, BEGUN, STATE, FIELDS, CATALOGUE, ITEMS, OTHERS)))

    def tell_items(self, itemids: Sequence[int]) -> None:
        """Notify holders of item features in memory that these have changed."""
        with reachable():
            self.client.xadd(self._key(ITEMS), {"ids": cast(bytes, msgpack.packb(list(itemids)))}, maxlen=KEPT_NOTICES)

    def last_notice(self) -> str:
        """Position of the last notice, to follow from."""
        with reachable():
            last = cast("list[tuple[bytes, dict[bytes, bytes]]]", self.client.xrevrange(self._key(ITEMS), count=1))
        return last[0][0].decode() if last else "0-0"

    def changed_items(self, since: str) -> tuple[str, list[int] | None]:
        """Items told of after the position `since`, and the position to continue from; does not wait.

        In place of the items, None where a notice cannot be read, as one of another release: any may have changed.
        """
        with reachable():
            stored = self.client.xrange(self._key(ITEMS), min=f"({since}")
            entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", stored)
        itemids, readable = set[int](), True
        for position, fields in entries:
            since = position.decode()
            try:
                itemids.update(msgpack.unpackb(fields[b"ids"]))
            except (KeyError, *UNREADABLE):
                readable = False
        return since, sorted(itemids) if readable else None

    def _key(self, name: str) -> str:
        """The key of what belongs to the generation."""
        return self._prefix + name

    def _get(self, key: str) -> bytes | None:
        with reachable():
            return cast("bytes | None", self.client.get(key))


def _read(model: type[R], packed: bytes | None, what: str, remedy: str) -> R | None:
    """A record from what is stored; None where nothing is.

    Raises:
        OtherVersion: if it has another version.
        ValueError: if it is no such record.
    """
    try:
        return model.read(packed) if packed else None
    except VersionError as error:
        raise OtherVersion(f"{what} in Redis is of another release: {error}; {remedy}") from error
