"""The shards of a generation of the state: their keys, how far each is folded, and whether anybody may fold into it.

Keys of shard 3 of the topic `ratings` (a shard is a partition of the topic):

    {ratings-3}:applied        last offset folded in, -1 for none; absent before the snapshot
    {ratings-3}:log            hash: cluster and topic (ids) of the log that the state was folded from, tail
                               (offset:fingerprint of the last record folded), stopped (the reason why a worker
                               stopped), lost (JSON: runs of offsets that are passed over)
    {ratings-3}:served         last offset whose Feast rows are written too
    {ratings-3}:profile:<uid>  a profile
    {ratings-3}:seen:<uid>     hash itemid -> the latest event of each type: the seen filter
    {ratings-3}:users          hash userid -> attributes
    {ratings-3}:items          hash itemid -> this shard's part of the item's counters
    {ratings-3}:dirty          items whose counters or attributes changed since they were last published
    {ratings-3}:publishing     items that are being published
    {ratings-3}:catalogue      items that were changed (see `stores.redis.shard_catalogue`, as for the next five)
    {ratings-3}:changes        number of changes
    {ratings-3}:withdrawn      items that are withdrawn
    {ratings-3}:waiting        events that wait for an item
    {ratings-3}:waits          number of events that wait
    {ratings-3}:unwritten      users whose rows a change of an item may have left unwritten
    {ratings-3}:dead           hash reason -> dead letters
    {ratings-3}:evicted        hash userid -> offset: users whose profile and filter are in a file (`stores.evicted`)
    {ratings-0}:publication    time of the last publication of items (see `stores.redis.publication_clock`)
    {ratings-3}:closed         set while nobody may fold into the shard: another generation is about to go live, or is

Ids are texts in UTF-8 there, as in the keys of the log. Those are the keys of the first generation of the state (see
`stores.redis.generations`); those of the generation g2 begin with `g2:`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features import Id
from stores.kafka.record import partition_of
from stores.redis.connection import Client, answers, reachable
from stores.redis.generations import FIRST, prefix_of
from stores.redis.readable import offset_of, readable_dead, readable_offset

SHARD_KEYS = (
    *("applied", "log", "served", "users", "items", "dirty", "publishing", "dead", "evicted", "publication"),
    *("closed", "catalogue", "changes", "withdrawn", "waiting", "waits", "unwritten"),
)
"""Names of a shard's keys."""
USER_KEYS = ("profile", "seen")
"""Names of the keys that a shard has for each user."""

RAISE = """
local held = redis.pcall('GET', KEYS[1])
local number = type(held) == 'string' and tonumber(held)
if not number or number < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
"""
"""Sets a number that is greater than the one held, or where what is held is no number."""


class ShardOffsets:
    """The shards of a generation in Redis, as far as they do not depend on the data set.

    Args:
        client: Redis.
        topic: name of the topic of the events.
        partitions: its partitions.
        generation: its name.
    """

    def __init__(self, client: Client, topic: str, partitions: int, generation: str = FIRST) -> None:
        self.client = client
        self.topic = topic
        self.partitions = partitions
        self.generation = generation
        self._prefix = prefix_of(generation)

    def tag(self, shard: int) -> str:
        """The beginning of the keys of a shard, with its hash tag."""
        return f"{self._prefix}{{{self.topic}-{shard}}}"

    @property
    def pattern(self) -> str:
        """The pattern of the keys of all shards, as SCAN takes it."""
        return f"{self._prefix}{{{self.topic}-*}}:*"

    @property
    def told_channel(self) -> str:
        """The channel on which visible offsets are told (see `read_told`)."""
        return f"{self._prefix}{self.topic}:served"

    @property
    def closed_keys(self) -> list[str]:
        """The keys that say that the shards are closed."""
        return [f"{self.tag(shard)}:closed" for shard in range(self.partitions)]

    def close(self, seconds: float) -> None:
        """Let nobody fold into the shards for some seconds; what is being folded now is not committed.

        Raises:
            Unreachable: if Redis does not answer.
        """
        write = self.client.pipeline(transaction=False)
        for key in self.closed_keys:
            write.set(key, 1, px=int(1000 * seconds))
        with reachable():
            write.execute()

    def reopen(self) -> None:
        """Let events be folded into the shards again; raises Unreachable if Redis does not answer."""
        with reachable():
            self.client.delete(*self.closed_keys)

    def shard_of(self, userid: Id) -> int:
        """The shard of a user."""
        return partition_of(userid, self.partitions)

    def applied(self) -> list[int | None]:
        """Last offset folded into each shard; -1 for none, None before the snapshot.

        Raises:
            Unreadable: if one is not an offset. That is not taken for a shard without a snapshot, which would be
                written anew.
            Unreachable: if Redis does not answer.
        """
        return [offset_of(value, f"{self.tag(shard)}:applied") for shard, value in enumerate(self._get("applied"))]

    def readable_applied(self) -> list[int | None]:
        """The same, with None where it is not an offset."""
        return [readable_offset(value) for value in self._get("applied")]

    def visible_offsets(self) -> list[int | None]:
        """Last offset of each shard whose Feast rows are written; None before the first."""
        return [readable_offset(value) for value in self._get("served")]

    def _get(self, name: str) -> list[Any]:
        read = self.client.pipeline(transaction=False)
        for shard in range(self.partitions):
            read.get(f"{self.tag(shard)}:{name}")
        return answers(read)

    def visible_offset(self, shard: int) -> int:
        """Last offset of a shard whose Feast rows are written; -1 before the first."""
        read = self.client.pipeline(transaction=False)
        read.get(f"{self.tag(shard)}:served")
        offset = readable_offset(answers(read)[0])
        return -1 if offset is None else offset

    def set_visible_offsets(self, offsets: Mapping[int, int]) -> None:
        """Record for shards that the Feast rows of all events up to an offset are written; never decreases an offset.

        It is told on `told_channel` too, if the user may use channels: who waits looks into Redis otherwise.

        Raises:
            Unreachable: if Redis does not answer.
        """
        write = self.client.pipeline(transaction=False)
        for shard, offset in offsets.items():
            write.eval(RAISE, 1, f"{self.tag(shard)}:served", offset)
        write.publish(self.told_channel, " ".join(f"{shard}:{offset}" for shard, offset in offsets.items()))
        with reachable():
            *written, _ = write.execute(raise_on_error=False)
            for error in written:
                if isinstance(error, Exception):
                    raise error

    def dead(self) -> dict[str, int]:
        """Dead events so far, by reason."""
        counts: dict[str, int] = {}
        read = self.client.pipeline(transaction=False)
        for shard in range(self.partitions):
            read.hgetall(f"{self.tag(shard)}:dead")
        for of_shard in answers(read):
            for reason, n in readable_dead(of_shard).items():
                counts[reason] = counts.get(reason, 0) + n
        return counts


def read_told(message: bytes) -> dict[int, int]:
    """Visible offsets by shard from a message on `told_channel`; none from what is not one.

    >>> read_told(b"3:1207 0:15"), read_told(b"3:x")
    ({3: 1207, 0: 15}, {})
    """
    try:
        pairs = (part.split(b":") for part in message.split())
        return {int(shard): int(offset) for shard, offset in pairs}
    except ValueError:
        return {}
