"""The comparison of profiles, seen filters, counters, changed items and feature rows, while events arrive too.

The first look compares everything with the log as it was when the look began. What differs is looked at again: its
shard is read in one transaction, the log is folded to exactly the offset that the shard stands at, and both must be
equal. Feature rows are written a moment after the state; a row is wrong if it differs from the state that it must
follow and that state has not changed while the row was read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from features import Id, ItemCounter, Layer, Row, ascending, id_text, user_row_time
from stores import Profiles, Unreachable, view_shard
from stores.feast.feature_rows import UNPUBLISHED
from stores.feast.feature_store import Features
from stores.feast.online_rows import OnlineRows
from stores.redis.connection import reachable
from stores.redis.packing import unpack_counter
from stores.redis.publication_clock import PublicationClock
from stores.redis.readable import readable_ids
from stores.redis.shard_view import ShardView
from verify.catalogue import differences_of
from verify.log import Expected
from verify.reading import read_each, read_one
from verify.report import Progress, Unreadable, Verified

BATCH = 500
PAUSE_S = 0.02
QUIET: Progress = lambda what, share: None  # noqa: E731

BEFORE_ALL = datetime.min.replace(tzinfo=UTC)

StoredRow = tuple[Row, datetime | bool | None]
"""A feature row with its timestamp; that of an item is True where it is the time of a publication."""


@dataclass
class _Doubts:
    """Differences found at the first look."""

    users: set[Id] = field(default_factory=set)
    user_rows: set[Id] = field(default_factory=set)
    shards: set[int] = field(default_factory=set)
    item_rows: set[Id] = field(default_factory=set)


class StateComparison:
    """Compares what the stream keeps.

    Args:
        expected: what must be stored.
        profiles, features, rows: what is stored.
        wait_s: seconds that the stream gets to catch up.
        result: takes the figures and the differences.
    """

    def __init__(
        self,
        expected: Expected,
        profiles: Profiles,
        features: Features,
        rows: OnlineRows,
        wait_s: float,
        result: Verified,
    ) -> None:
        self._expected = expected
        self._profiles = profiles
        self._features = features
        self._rows_stored = rows
        self._wait_s = wait_s
        self._doubts = _Doubts()
        self.result = result

    def compare(self, progress: Progress) -> None:
        """Compare all of it.

        Raises:
            Unreachable: if a store does not answer, or the stream does not catch up in time.
        """
        self.wait_served(progress)
        self._look(progress)
        self._look_again(progress)

    def wait_served(self, progress: Progress = QUIET) -> None:
        """Wait until all stores hold every event that is folded here.

        Raises:
            Unreachable: if they do not in time.
        """
        until = time.monotonic() + self._wait_s
        while True:
            behind = self._behind()
            if not behind:
                return
            if time.monotonic() > until:
                where = ", ".join(f"shard {shard} by {events}" for shard, events in behind.items())
                raise Unreachable(
                    f"the stream is {sum(behind.values())} events behind after {self._wait_s:.0f} s ({where}); "
                    "check in `reelstream status` that a worker is running"
                )
            progress(f"waiting for the stream, {sum(behind.values())} events behind", 0.0)
            time.sleep(PAUSE_S)

    def _behind(self) -> dict[int, int]:
        """Events that a shard, or what follows it, does not hold yet; without shards that hold all."""
        positions = zip(self._profiles.applied(), self._profiles.visible_offsets(), strict=True)
        lowest = [min(-1 if offset is None else offset for offset in position) for position in positions]
        return {
            shard: self._expected.folded[shard] - 1 - stands
            for shard, stands in enumerate(lowest)
            if stands < self._expected.folded[shard] - 1
        }

    def _look(self, progress: Progress) -> None:
        """Compare everything, and note what differs."""
        expected, doubts = self._expected, self._doubts
        known = self._profiles.userids()
        userids = ascending(expected.userids() | known)
        # Of these something is stored that may be nothing to read, and must not be there at all.
        doubts.users.update(known - expected.userids())
        for start in range(0, len(userids), BATCH):
            batch = userids[start : start + BATCH]
            stored, rows = read_each(self._profiles.read_users, batch), self._stored("user", batch)
            doubts.users.update(userid for userid in batch if expected.user(userid) != stored.get(userid))
            doubts.user_rows.update(userid for userid in batch if self._row("user", userid) != rows.get(userid))
            progress("comparing users", start / len(userids))
        progress("comparing items", 0.0)
        for shard in range(self._profiles.partitions):
            view = read_one(lambda shard=shard: view_shard(self._profiles, shard))  # type: ignore[misc]
            if (
                isinstance(view, Unreadable)
                or view.counters != expected.counters(shard)
                or view.dead != dict(expected.dead[shard])
                or any(differences_of(expected, shard, view))
            ):
                doubts.shards.add(shard)
            self.result.changed += len(expected.layer(shard).changed)
            self.result.waiting += sum(map(len, expected.waiting(shard).values()))
        itemids = ascending(expected.items)
        rows = self._stored("item", itemids)
        doubts.item_rows.update(itemid for itemid in itemids if self._row("item", itemid) != rows.get(itemid))
        self._look_for_strays()
        self.result.items = len(itemids)
        self.result.profiles = len(userids)
        self.result.feature_rows = len(userids) + len(itemids)

    def _look_for_strays(self) -> None:
        """Doubt rows of the feature store whose user has no profile, or whose item is not in the catalogue."""
        stored, schema = self._rows_stored.ids(), self._expected.schema
        for kind, ids, valid, known, doubts in (
            ("user", stored.users, schema.user_ids.valid, self._expected.userids(), self._doubts.user_rows),
            ("item", stored.items, schema.item_ids.valid, self._expected.items.keys(), self._doubts.item_rows),
        ):
            doubts.update(entity for entity in ids - known if valid(entity))
            for entity in ids - known - doubts:
                self.result.check(f"feature row of {kind} {entity!r}", None, Unreadable("no such id"))
        for key in stored.unreadable:
            self.result.check(f"key {key!r} of the feature store", None, Unreadable("no entity"))

    def _look_again(self, progress: Progress) -> None:
        """Compare what differed, each at one offset of its shard."""
        progress("comparing again what differs", 0.0)
        doubts = self._doubts
        for shard in range(self._profiles.partitions):
            of_shard = ascending(userid for userid in doubts.users if self._expected.shard_of(userid) == shard)
            if of_shard or shard in doubts.shards:
                self._shard(shard, of_shard)
        self._rows("user", doubts.user_rows)
        self._rows("item", doubts.item_rows)
        self.result.events, self.result.changes = self._expected.events, self._expected.changes
        self.result.dead = sum(sum(dead.values()) for dead in self._expected.dead)

    def _shard(self, shard: int, userids: Sequence[Id]) -> None:
        self.wait_served()
        view = read_one(lambda: view_shard(self._profiles, shard, userids))
        if isinstance(view, Unreadable):
            self._damaged_shard(shard, userids)
            return
        self._expected.fold_to({shard: view.applied + 1})
        self._users(userids, view.users)
        self._counters(shard, view)
        for difference in differences_of(self._expected, shard, view):
            self.result.check(*difference)

    def _users(self, userids: Sequence[Id], stored: Mapping[Id, object]) -> None:
        for userid in userids:
            expected, actual = self._expected.user(userid), stored.get(userid)
            if expected is None and actual is None:
                actual = Unreadable("no profile")
            self.result.check(f"profile and seen filter of user {userid}", expected, actual)

    def _counters(self, shard: int, view: ShardView) -> None:
        counters = self._expected.counters(shard)
        for itemid in counters.keys() | view.counters.keys():
            self.result.check(f"item {itemid} in shard {shard}", counters.get(itemid), view.counters.get(itemid))
        self.result.check(f"dead letters of shard {shard}", dict(self._expected.dead[shard]), dict(view.dead))

    def _damaged_shard(self, shard: int, userids: Sequence[Id]) -> None:
        """Compare a shard of which a value cannot be read, each value by itself."""
        applied = self._profiles.applied()[shard]
        self._expected.fold_to({shard: -1 if applied is None else applied + 1})
        self._users(userids, read_each(self._profiles.read_users, userids))
        tag, client = self._profiles.tag(shard), self._profiles.client
        with reachable():
            packed: dict[bytes, bytes] = client.hgetall(f"{tag}:items")  # type: ignore[assignment]
            dead: dict[bytes, bytes] = client.hgetall(f"{tag}:dead")  # type: ignore[assignment]
        counters: dict[str, ItemCounter | Unreadable] = {
            field.decode(errors="backslashreplace"): read_one(lambda value=value: unpack_counter(value))  # type: ignore[misc]
            for field, value in packed.items()
        }
        expected = {id_text(itemid): counter for itemid, counter in self._expected.counters(shard).items()}
        for name in expected.keys() | counters.keys():
            self.result.check(f"item {name} in shard {shard}", expected.get(name), counters.get(name))
        stored = {reason.decode(errors="backslashreplace"): n.decode("latin-1") for reason, n in dead.items()}
        wanted = {reason: str(n) for reason, n in self._expected.dead[shard].items()}
        self.result.check(f"dead letters of shard {shard}", wanted, stored)

    def _row(self, kind: str, entity: Id) -> StoredRow | None:
        """The row that an entity must have, with its timestamp."""
        row = self._expected.user_row(entity) if kind == "user" else self._expected.item_row(entity)
        return None if row is None else (row, user_row_time(row) if kind == "user" else True)

    def _stored(self, kind: str, ids: Sequence[Id]) -> dict[Id, object]:
        """The rows that entities have, with their timestamps; without those that have none."""
        read: Callable[[Sequence[Id]], Mapping[Id, Row]] = (
            self._features.users if kind == "user" else self._features.items
        )
        rows = read_each(read, ids)
        stamps = self._rows_stored.times(f"{kind}id", ids)
        last = max(PublicationClock(self._profiles).last(), UNPUBLISHED) if kind == "item" else BEFORE_ALL
        times = {entity: stamp <= last or stamp for entity, stamp in stamps.items()}
        return {
            entity: row if isinstance(row, Unreadable) else (row, times.get(entity))
            for entity in rows.keys() | times.keys()
            for row in [rows.get(entity, {})]
        }

    def _rows(self, kind: str, doubted: Iterable[Id]) -> None:
        """Compare rows until each agrees, or differs from a state that did not change meanwhile.

        Raises:
            Unreachable: if some change faster than they can be compared.
        """
        until = time.monotonic() + self._wait_s
        left = set(doubted)
        while left:
            unpublished = self.advance()
            self.wait_served()
            looked_at = ascending(left - unpublished if kind == "item" else left)
            before = {entity: self._row(kind, entity) for entity in looked_at}
            stored = self._stored(kind, looked_at)
            # The feature row of a user goes with the profile, and comes back with the next event.
            evicted = self._profiles.evicted_among(looked_at) if kind == "user" else set()
            self.advance()
            for entity in looked_at:
                if before[entity] == stored.get(entity) or (entity not in stored and entity in evicted):
                    left.remove(entity)
                elif before[entity] == self._row(kind, entity):
                    left.remove(entity)
                    self.result.check(f"feature row of {kind} {entity}", before[entity], stored.get(entity))
            if left and time.monotonic() > until:
                raise Unreachable(
                    f"the feature rows of {len(left)} {kind}s still change, or are not published, after "
                    f"{self._wait_s:.0f} s; check in `reelstream status` that a worker is running"
                )
            if left:
                time.sleep(PAUSE_S)

    def catalogue(self) -> tuple[Layer, set[Id]]:
        """The items as the shards know them together now, and those that may not be published yet as they are there.

        Raises:
            Unreachable: if a store does not answer.
        """
        unpublished = self.advance()
        return self._expected.items, unpublished

    def advance(self) -> set[Id]:
        """Fold the log to where each shard stands; items that may not be published yet as they are there.

        Raises:
            Unreachable: if a store does not answer.
        """
        unpublished: set[Id] = set()
        ends = {}
        for shard in range(self._profiles.partitions):
            tag = self._profiles.tag(shard)
            read = self._profiles.client.pipeline(transaction=True)
            read.get(f"{tag}:applied")
            read.sunion([f"{tag}:dirty", f"{tag}:publishing"])
            with reachable():
                applied, marked = read.execute()
            ends[shard] = -1 if applied is None else int(applied) + 1
            unpublished.update(readable_ids(self._profiles.schema.item_ids, marked))
        self._expected.fold_to(ends)
        return unpublished
