"""Generations of the state: another one is built next to the live one, and one key names the one that is live.

reelstream:generation         JSON: the live generation, and the one that can be switched back to; absent while the
                              first one is live
reelstream:generations        set of the generations of which something may be stored; without the first while that one
                              is live
reelstream:generation:number  how many there have been after the first
reelstream:refused            set, with an expiry, while the API refuses events because partitions are added to the log

To a generation belong its shards (`stores.redis.shard_offsets`), its catalogue, schema and snapshot
(`stores.redis.published`) and its feature rows, in a Feast project of its own. The keys of the first have no prefix, so
that a state that was written before there were generations is the first one. The runs, the lock and what drift has
found belong to all.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from features.stored import Record
from stores.errors import LockLost, OtherVersion
from stores.redis.connection import Client, reachable
from stores.redis.publish_lock import LOCK, PublishLock

LIVE = "reelstream:generation"
STORED = "reelstream:generations"
NUMBER = "reelstream:generation:number"
REFUSED = "reelstream:refused"
FIRST = ""
"""Name of the first generation."""

CHANGE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 1 end
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[2] then return 2 end
for i = 3, #KEYS do
    if redis.call('EXISTS', KEYS[i]) == 0 then return 3 end
end
for i = 3, #KEYS do redis.call('PERSIST', KEYS[i]) end
redis.call('SET', KEYS[2], ARGV[3])
return 0
"""
"""Writes which generation is live where the caller holds the lock and has read what is stored; in the same step, the
shards that are closed for a while are closed for good, unless one of them is open again."""


class LiveGeneration(Record):
    """The generation that is live.

    Attributes:
        name: of the live generation.
        previous: the generation that can be switched back to; None where there is none.
        next: a generation that is about to go live, which readers open beforehand; None where there is none.
        since: UTC time, ISO 8601, of the last switch; empty before the first.
        partitions: shards of the live generation; None where that was never changed, and is what the settings say.
        appending: partitions by which events are appended, where the log has got more than the live generation has
            shards; nobody folds into that one any more, and `reelstream rebuild` puts one with as many in its place.
        epochs: how many epochs of the log have ended (`stores.kafka.epochs`).
    """

    name: str = FIRST
    previous: str | None = None
    next: str | None = None
    since: str = ""
    partitions: int | None = None
    appending: int | None = None
    epochs: int = 0

    def shards_of(self, name: str, setting: int) -> int:
        """Shards of a generation; `setting` is what the settings say."""
        newest = self.appending or self.partitions or setting
        return (self.partitions or setting) if name == self.name else newest

    def append_over(self, setting: int) -> int:
        """Partitions by which events are appended; `setting` is what the settings say."""
        return self.appending or self.partitions or setting


def prefix_of(generation: str) -> str:
    """The beginning of a generation's keys.

    >>> prefix_of(FIRST), prefix_of("g2")
    ('', 'g2:')
    """
    return f"{generation}:" if generation else ""


def project_of(project: str, generation: str) -> str:
    """The Feast project of a generation; `project` is that of the first.

    >>> project_of("reelstream", FIRST), project_of("reelstream", "g2")
    ('reelstream', 'reelstream_g2')
    """
    return f"{project}_{generation}" if generation else project


def read_live(packed: bytes | None) -> LiveGeneration:
    """The live generation from what is stored.

    Raises:
        OtherVersion: if another release has written it.
    """
    if packed is None:
        return LiveGeneration()
    try:
        return LiveGeneration.read(packed)
    except ValueError as error:
        raise OtherVersion(
            f"the key {LIVE} in Redis is not one that this release can read; go back to the release that wrote it"
        ) from error


class Generations:
    """Reads and writes which generation is live; every method raises Unreachable if Redis does not answer."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def live(self) -> LiveGeneration:
        """The live generation; raises OtherVersion if another release has written which."""
        return self.stored()[0]

    def stored(self) -> tuple[LiveGeneration, bytes]:
        """The live generation, and its stored form, by which `change` knows it again."""
        with reachable():
            packed = cast("bytes | None", self._client.get(LIVE))
        return read_live(packed), packed or b""

    def followed(self) -> tuple[LiveGeneration, bool]:
        """The live generation, and whether the API refuses events; raises OtherVersion as `live` does."""
        with reachable():
            packed, refused = cast("list[bytes | None]", self._client.mget(LIVE, REFUSED))
        return read_live(packed), refused is not None

    def refuse_events(self, seconds: float, *, still: bool = False) -> bool:
        """Have the API append no event for some seconds.

        Args:
            seconds: for which.
            still: only if it does not yet append again.

        Returns:
            False if it does.
        """
        with reachable():
            return bool(self._client.set(REFUSED, 1, px=int(1000 * seconds), xx=still))

    def accept_events(self) -> None:
        """Have the API append events again."""
        with reachable():
            self._client.delete(REFUSED)

    def note_partitions(self, partitions: int, lock: PublishLock) -> None:
        """Note the shards of the live generation, before the settings of every process say another number."""
        live, stored = self.stored()
        self._change(live.model_copy(update={"partitions": partitions}), stored, lock)

    def note_log(self, partitions: int, epochs: int, lock: PublishLock) -> None:
        """Note again how the log is spread, where Redis has lost it; processes may have the former setting.

        Args:
            partitions: of the log.
            epochs: epochs of the log that have ended; where none has, nothing is noted.
            lock: the lock, which must still be held.
        """
        live, stored = self.stored()
        if epochs and (live.partitions, live.epochs) != (partitions, epochs):
            self._change(live.model_copy(update={"partitions": partitions, "epochs": epochs}), stored, lock)

    def note_epochs(self, ended: int, lock: PublishLock) -> None:
        """Note how many epochs of the log have ended, where that is another log now."""
        live, stored = self.stored()
        if live.epochs != ended:
            self._change(live.model_copy(update={"epochs": ended}), stored, lock)

    def grow(self, partitions: int, epochs: int, lock: PublishLock, closed: Sequence[str]) -> None:
        """Have events appended by more partitions, in one step with closing the live generation for good.

        Args:
            partitions: of the log, from now on.
            epochs: epochs of the log that have ended.
            lock: the lock, which must still be held.
            closed: keys that say that the shards of the live generation are closed; from then on they stay.

        Raises:
            LockLost: if the lock is not held, or a shard is no longer closed; nothing is changed.
        """
        live, stored = self.stored()
        grown = live.model_copy(update={"appending": partitions, "epochs": epochs, "previous": None})
        self._change(grown, stored, lock, closed)

    def begin(self) -> str:
        """Name of a new generation, noted before the first of it is written; no other was ever given the same."""
        with reachable():
            name = f"g{cast(int, self._client.incr(NUMBER)) + 1}"
            self._client.sadd(STORED, name)
        return name

    def unused(self) -> list[str]:
        """Generations of which something may be stored, and which are neither live nor can be switched back to."""
        live = self.live()
        with reachable():
            names = {name.decode() for name in cast("set[bytes]", self._client.smembers(STORED))}
        return sorted(names - {live.name, live.previous})

    def forget(self, name: str) -> None:
        """Note that all of a generation is deleted."""
        with reachable():
            self._client.srem(STORED, name)

    def announce(self, name: str | None, lock: PublishLock) -> None:
        """Have readers open a generation that is about to go live; None for none."""
        live, stored = self.stored()
        self._change(live.model_copy(update={"next": name}), stored, lock)

    def switch(self, name: str, previous: str | None, lock: PublishLock, closed: Sequence[str] = ()) -> LiveGeneration:
        """Put a generation live, in one step.

        Args:
            name: the generation.
            previous: the one that can be switched back to.
            lock: the lock, which must still be held.
            closed: keys that say that the shards of the other one are closed; from then on they stay.

        Raises:
            LockLost: if the lock is not held, or a shard is no longer closed; nothing is changed.
        """
        before, stored = self.stored()
        with reachable():
            self._client.sadd(STORED, before.name)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        live = LiveGeneration(
            name=name,
            previous=previous,
            since=since,
            partitions=before.appending or before.partitions,
            epochs=before.epochs,
        )
        self._change(live, stored, lock, closed)
        return live

    def without_previous(self, lock: PublishLock) -> None:
        """Let no one switch back any more, before the other generation is deleted."""
        live, stored = self.stored()
        self._change(live.model_copy(update={"previous": None}), stored, lock)

    def delete_all(self) -> None:
        """Let the first generation be live again, once all are deleted; their names are not given again."""
        with reachable():
            self._client.delete(LIVE, STORED)

    def _change(self, live: LiveGeneration, stored: bytes, lock: PublishLock, closed: Sequence[str] = ()) -> None:
        keys, values = (LOCK, LIVE, *closed), (lock.value, stored, live.model_dump_json())
        with reachable():
            refused = cast(int, self._client.eval(CHANGE, len(keys), *keys, *values))
        if refused == 1:
            raise lock.lost()
        if refused == 2:
            raise LockLost("the live generation was changed without the lock; nothing was switched; run it again")
        if refused == 3:
            raise LockLost("the last events took too long to fold, and the live state goes on; run it again")
