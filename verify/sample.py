"""The comparison of some users and items with the oracle, byte by byte as they are stored.

Each shard is read in one transaction with its offsets, and the oracle is asked for the state at these. A user's feature
row is that of the state before or after the batch which is being written; an item's row is that of all shards, once its
counters are published.
"""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, cast

import msgpack

from features import Id, Schema, ascending, id_text
from features.broken import HEADER
from settings import Settings
from stores import Profiles, Unreachable
from stores.archive.whole_log import WholeLog
from stores.feast.feature_store import Features
from stores.kafka.record import reason_if_gone
from stores.redis.connection import reachable
from stores.redis.packing import SEEN, user_struct
from stores.redis.readable import readable_ids
from verify.inputs import Sample, compare_inputs
from verify.oracle import History, Oracle
from verify.reading import read_each, read_one
from verify.report import Progress, Verified

PAUSE_S = 0.05

COUNTER = ("n", "likes", "last_ts", "weeks")
"""Order of what is stored of an item's counters in a shard."""


def counts_without_oracle(schema: Schema, oracle: Oracle) -> list[str]:
    """Declared counts that the oracle does not compute, so that nothing could be said of them."""
    kinds = {
        "profile": (schema.profile_fields, oracle.profile_fields),
        "user": ([field.name for field in schema.user_fields], oracle.user_fields),
        "item": ([field.name for field in schema.item_fields], oracle.item_fields),
    }
    return [
        f"count {name} of the {kind}"
        for kind, (declared, known) in kinds.items()
        for name in declared
        if name not in known
    ]


def choose(rng: random.Random, wanted: int, recent: Collection[Id], all_: Collection[Id]) -> list[Id]:
    """Ids for the sample: half of them of those that the log names, where it names so many."""
    first = rng.sample(ascending(recent), min(len(recent), wanted // 2))
    rest = ascending({*all_} - {*first})
    return ascending([*first, *rng.sample(rest, min(len(rest), wanted - len(first)))])


class SampleComparison:
    """Compares users and items with the oracle.

    Args:
        settings: all settings.
        history: what there is before the log, as the oracle has read it.
        profiles, features: what is stored.
        users, items: the sample.
        wait_s: seconds that feature rows get to follow the state.
        result: takes the figures and the differences.
    """

    def __init__(
        self,
        settings: Settings,
        history: History,
        profiles: Profiles,
        features: Features,
        users: Sequence[Id],
        items: Sequence[Id],
        wait_s: float,
        result: Verified,
    ) -> None:
        self._profiles, self._features, self._result, self._wait_s = profiles, features, result, wait_s
        self._users, self._items, self._schema = users, items, profiles.schema
        self._settings, self._log = settings, WholeLog(settings)
        self._oracle = Oracle(
            history,
            profiles.partitions,
            users,
            items,
            settings.stream.max_future_s,
            [(epoch.partitions, epoch.ends) for epoch in self._log.epochs.ended],
            settings.catalogue.waiting_events,
        )
        self._broken: set[tuple[int, int]] = set()
        self._read = dict.fromkeys(range(profiles.partitions), 0)
        self._log.seek(self._read)

    def compare(self, progress: Progress) -> None:
        """Compare the sample.

        Raises:
            Unreachable: if a store does not answer, or feature rows do not follow the state in time.
        """
        try:
            if lacking := counts_without_oracle(self._schema, self._oracle):
                for name in lacking:
                    self._result.check(f"sample: {name}", "a computation of its own in verify/oracle", None)
                return
            for shard in range(self._profiles.partitions):
                progress("comparing a sample with the oracle", shard / self._profiles.partitions)
                self._shard(shard)
            self._user_rows(progress)
            self._item_rows(progress)
            progress("comparing the ranker's inputs of a sample with the oracle", 0.0)
            sample = Sample(set(self._users), set(self._items), self._broken)
            compare_inputs(self._settings.kafka, self._schema, self._oracle, self._read, sample, self._result)
            self._result.sampled = len(self._users) + len(self._items)
        finally:
            self._log.close()

    def _read_to(self, ends: Mapping[int, int]) -> None:
        """Have the oracle read the log up to before `ends`."""
        ends = {shard: max(at, ends.get(shard, 0)) for shard, at in self._read.items()}
        if ends == self._read:
            return
        stages = self._log.epochs.stages(ends)
        for stage in stages:
            for batch in self._log.read_to(stage):
                for record in batch:
                    if any(name == HEADER for name, _ in record.headers):
                        self._broken.add((record.partition, record.offset))
                    gone = reason_if_gone(record)
                    if gone is None:
                        self._oracle.take(record.partition, record.offset, record.key, record.value, record.created)
                    else:
                        self._oracle.pass_over(record.partition, record.offset, dead=bool(gone))
        self._read = stages[-1]

    def _shard(self, shard: int) -> None:
        tag = self._profiles.tag(shard)
        users = [userid for userid in self._users if self._profiles.shard_of(userid) == shard]
        read = self._profiles.client.pipeline(transaction=True)
        read.get(f"{tag}:applied")
        read.hvals(f"{tag}:dead")
        for userid in users:
            read.get(f"{tag}:profile:{userid}")
            read.hgetall(f"{tag}:seen:{userid}")
            read.hget(f"{tag}:users", id_text(userid))
            read.hget(f"{tag}:evicted", id_text(userid))
        read.hgetall(f"{tag}:waiting")
        for itemid in self._items:
            read.hget(f"{tag}:items", id_text(itemid))
            read.hget(f"{tag}:catalogue", id_text(itemid))
        with reachable():
            applied, dead, *stored = read.execute(raise_on_error=False)
        at = int(applied)
        self._read_to({shard: at + 1})
        of_users, (waiting, *of_items) = stored[: 4 * len(users)], stored[4 * len(users) :]
        kept = self._profiles.stored_users(users, of_users[::4], of_users[1::4], of_users[3::4])
        for userid, (profile, seen), attributes in zip(users, kept, of_users[2::4], strict=True):
            self._user(userid, at, profile, seen, attributes)
        for itemid, packed, changed in zip(self._items, of_items[::2], of_items[1::2], strict=True):
            counter = read_one(lambda packed=packed: _named(COUNTER, packed))  # type: ignore[misc]
            name = f"sample: item {itemid} in shard {shard}"
            self._result.check(name, self._oracle.counter(shard, itemid, at), counter)
            name = f"sample: changed item {itemid} in shard {shard}"
            self._result.check(name, self._oracle.changed(shard, itemid, at), read_one(partial(_changed, changed)))
        self._waiting(shard, waiting)
        counted = read_one(lambda: sum(int(n) for n in dead))
        self._result.check(f"sample: dead letters of shard {shard}", self._dead(shard, at), counted)

    def _waiting(self, shard: int, waiting: Any) -> None:
        """Compare how many events wait in a shard for each item, which the oracle knows where it has read to."""
        expected = {id_text(itemid): n for itemid, n in self._oracle.waiting(shard).items()}
        stored = read_one(
            lambda: {itemid.decode(): len(msgpack.unpackb(packed)["rows"]) for itemid, packed in waiting.items()}
        )
        self._result.check(f"sample: waiting events of shard {shard}", expected, stored)

    def _dead(self, shard: int, at: int) -> int:
        return sum(offset <= at for offset in self._oracle.dead[shard])

    def _user(self, userid: Id, at: int, profile: object, seen: Any, attributes: Any) -> None:
        check, name, oracle = self._result.check, f"user {userid}", self._oracle
        expected, fields = oracle.profile(userid, at), oracle.profile_fields
        if expected is not None and (counted := oracle.counted(userid, at)):
            # They follow the other fields where there are any.
            expected, fields = expected | {"counted": counted}, [*fields, "counted"]
        check(f"sample: profile of {name}", expected, read_one(lambda: _named(fields, cast(Any, profile))))
        filtered = {id_text(itemid): rated for itemid, rated in oracle.seen(userid, at).items()}
        check(
            f"sample: seen filter of {name}",
            filtered,
            read_one(lambda: {itemid.decode(): list(SEEN.iter_unpack(rated)) for itemid, rated in seen.items()}),
        )
        codes = user_struct(self._schema)
        check(
            f"sample: attributes of {name}",
            oracle.attributes(userid, at),
            read_one(lambda: list(codes.unpack(attributes)) if attributes is not None else None),
        )

    def _user_rows(self, progress: Progress) -> None:
        left, until = set(self._users), time.monotonic() + self._wait_s
        while left:
            progress("comparing feature rows of a sample with the oracle", 1 - len(left) / len(self._users))
            before = [-1 if offset is None else offset for offset in self._profiles.visible_offsets()]
            rows = read_each(self._features.users, ascending(left))
            evicted = self._profiles.evicted_among(ascending(left))
            after = [-1 if offset is None else offset for offset in self._profiles.applied()]
            self._read_to({shard: at + 1 for shard, at in enumerate(after)})
            for userid in ascending(left):
                shard = self._profiles.shard_of(userid)
                least, most = (self._oracle.user_row(userid, offsets[shard]) for offsets in (before, after))
                if rows.get(userid) in (least, most) or (userid not in rows and userid in evicted):
                    left.remove(userid)
                elif least == most:
                    left.remove(userid)
                    self._result.check(f"sample: feature row of user {userid}", most, rows.get(userid))
            self._pause(left, until, "users")

    def _item_rows(self, progress: Progress) -> None:
        left, until = set(self._items), time.monotonic() + self._wait_s
        while left:
            progress("comparing feature rows of a sample with the oracle", 1 - len(left) / len(self._items))
            before, unpublished = self._unpublished()
            looked_at = ascending(left - unpublished)
            rows = read_each(self._features.items, looked_at)
            after, _ = self._unpublished()
            self._read_to({shard: at + 1 for shard, at in enumerate(after)})
            for itemid in looked_at:
                row = self._oracle.item_row(itemid, before)
                if rows.get(itemid) == row:
                    left.remove(itemid)
                elif self._oracle.item_row(itemid, after) == row:
                    left.remove(itemid)
                    self._result.check(f"sample: feature row of item {itemid}", row, rows.get(itemid))
            self._pause(left, until, "items")

    def _unpublished(self) -> tuple[list[int], set[Id]]:
        """Position of each shard, and items whose counters may not be published."""
        read = self._profiles.client.pipeline(transaction=True)
        for shard in range(self._profiles.partitions):
            tag = self._profiles.tag(shard)
            read.get(f"{tag}:applied")
            read.sunion([f"{tag}:dirty", f"{tag}:publishing"])
        with reachable():
            answers = read.execute()
        offsets = [-1 if offset is None else int(offset) for offset in answers[::2]]
        named = (name for of_shard in answers[1::2] for name in of_shard)
        return offsets, {*readable_ids(self._schema.item_ids, named)}

    def _pause(self, left: Collection[Id], until: float, kind: str) -> None:
        if not left:
            return
        if time.monotonic() > until:
            raise Unreachable(
                f"the feature rows of {len(left)} {kind} still change after {self._wait_s:.0f} s; check in "
                "`reelstream status` that a worker is running"
            )
        time.sleep(PAUSE_S)


def _changed(packed: bytes | None) -> dict[str, Any] | None:
    """The decision about a changed item from what is stored, as the oracle gives it; None where nothing is stored."""
    if packed is None:
        return None
    fields = msgpack.unpackb(packed)
    return {"version": fields["version"], "withdrawn": fields["withdrawn"], "content": fields["content"][0]}


def _named(names: Sequence[str], packed: bytes | None) -> dict[str, Any] | None:
    """Stored values by name; None where nothing is stored."""
    return None if packed is None else dict(zip(names, msgpack.unpackb(packed), strict=True))
