"""The proof that nothing was lost or counted twice: the whole log folded again, compared with what is stored.

It holds while events arrive. The first look compares everything with the log as it stood when the look began. What
differs is looked at again: its shard is read in one transaction, the log is folded to exactly the offset that the shard
stands at, and both must be equal. Feature rows are written a moment after the state; a row is wrong if it differs from
the state that it must follow and that state has not changed while the row was read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from features import Row
from offline import data, state_snapshot
from offline.errors import DataError
from offline.expected import Expected
from offline.snapshot import Shards
from offline.split import split
from settings import Settings
from stores import Log, LogError, NotPublished, Profiles, Published, Unreachable, connect, view_shard
from stores.feature_store import Features
from stores.log_check import WAY_OUT, LogProbe
from stores.shard_log import ShardLogs

BATCH = 500
EXAMPLES = 20
PAUSE_S = 0.02

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0 to 1."""


@dataclass
class Verified:
    """What was compared and what differs.

    Attributes:
        events: events of the log that were folded.
        dead: events of the log that could not be understood.
        profiles: users whose profile and seen filter were compared.
        items: items whose counters were compared, in every shard.
        feature_rows: rows of the feature store that were compared.
        differing: name of what differs -> what was expected and what is stored.
    """

    events: int = 0
    dead: int = 0
    profiles: int = 0
    items: int = 0
    feature_rows: int = 0
    differing: dict[str, str] = field(default_factory=dict)

    @property
    def differences(self) -> int:
        """Number of things that differ."""
        return len(self.differing)

    def as_json(self) -> dict[str, object]:
        """The figures as `reelstream verify --json` prints them."""
        return {
            "compared": {"profiles": self.profiles, "items": self.items, "feature_rows": self.feature_rows},
            "differences": self.differences,
            "events": self.events,
            "dead": self.dead,
            "examples": dict(list(self.differing.items())[:EXAMPLES]),
        }


def verify(settings: Settings, *, wait_s: float, progress: Progress) -> Verified:
    """Fold the offline history and the whole log, and compare with every profile, filter, counter and feature row.

    Args:
        settings: all settings.
        wait_s: seconds that the stream gets to fold what is in the log now, and again as many for the second look.
        progress: told of each step.

    Raises:
        NotPublished: if there is no snapshot.
        DataError: if the state began with other data than the data folder holds.
        LogError: if the log is not the one that the state was folded from, or lacks events.
        Unreachable: if a store does not answer, or the stream stands still.
    """
    client = connect(settings.redis)
    snapshot = Published(client).snapshot()
    if snapshot is None:
        raise NotPublished("there is nothing to verify yet; run `reelstream publish`")
    progress("folding the offline history", 0.0)
    ratings = data.load(settings)
    if data.data_hash(ratings) != snapshot.data_hash:
        raise DataError(f"the state began with other data than {settings.data_folder} holds; set ML1M_DIR to them")
    profiles = Profiles(client, settings.kafka.topic, settings.kafka.partitions)
    require_own_log(settings, profiles, snapshot.base)
    begins, dead = dict.fromkeys(range(profiles.partitions), 0), None
    if snapshot.base is None:
        shards = Shards.after(ratings, split(ratings, settings.data).offline, profiles.partitions)
    else:
        shards, begins, dead = state_snapshot.read(settings, snapshot.base, ratings.catalogue)
    log = Log(settings.kafka)
    try:
        expected = Expected(shards, ratings.catalogue.items, log, begins, settings.stream.max_future_s, dead)
        comparison = _Comparison(expected, profiles, Features(settings), sorted(ratings.catalogue.items), wait_s)
        ends = log.ends()
        total = max(1, sum(ends.values()))
        expected.fold_to(ends, lambda events: progress("folding the log", events / total))
        comparison.wait_served(progress)
        comparison.look(progress)
        comparison.look_again(progress)
        return comparison.result
    finally:
        log.close()


def require_own_log(settings: Settings, profiles: Profiles, base: str | None) -> None:
    """Require that the log is the one that the state was folded from, and that all of it is there.

    Args:
        base: the snapshot of the state that the log follows; None where it follows the offline history.

    Raises:
        LogError: if it is not; the message is that of the first partition.
        Unreachable: if a store does not answer.
    """
    positions = ShardLogs(profiles).positions()
    begins = state_snapshot.next_offsets(settings, base, profiles.partitions)
    probe = LogProbe(settings.kafka)
    try:
        checks = probe.check(positions)
    finally:
        probe.close()
    for partition, checked in checks.items():
        if why := checked.mismatch or checked.position.stopped:
            raise LogError(why)
        if checked.bounds.start > begins[partition]:
            raise LogError(
                f"partition {partition}: the log begins at offset {checked.bounds.start}, but is folded from offset "
                f"{begins[partition]}; {WAY_OUT}"
            )


@dataclass
class _Doubts:
    """What differed at the first look."""

    users: set[int] = field(default_factory=set)
    user_rows: set[int] = field(default_factory=set)
    shards: set[int] = field(default_factory=set)
    item_rows: set[int] = field(default_factory=set)


class _Comparison:
    def __init__(
        self, expected: Expected, profiles: Profiles, features: Features, itemids: Sequence[int], wait_s: float
    ) -> None:
        self._expected = expected
        self._profiles = profiles
        self._features = features
        self._itemids = itemids
        self._wait_s = wait_s
        self._doubts = _Doubts()
        self.result = Verified(items=len(itemids))

    def wait_served(self, progress: Progress = lambda what, share: None) -> None:
        """Wait until all stores hold every event that is folded here.

        Raises:
            Unreachable: if they do not in time.
        """
        until = time.monotonic() + self._wait_s
        while True:
            positions = zip(self._profiles.applied(), self._profiles.served(), strict=True)
            behind = sum(
                max(0, self._expected.folded[shard] - 1 - min(-1 if each is None else each for each in position))
                for shard, position in enumerate(positions)
            )
            if not behind:
                return
            if time.monotonic() > until:
                raise Unreachable(
                    f"the stream is {behind} events behind after {self._wait_s:.0f} s; "
                    "see in `reelstream status` that a worker is running"
                )
            progress(f"waiting for the stream, {behind} events behind", 0.0)
            time.sleep(PAUSE_S)

    def look(self, progress: Progress) -> None:
        """Compare everything, and note what differs."""
        expected, doubts = self._expected, self._doubts
        userids = sorted(expected.userids() | self._profiles.userids())
        for start in range(0, len(userids), BATCH):
            batch = userids[start : start + BATCH]
            stored, rows = self._profiles.read_users(batch), self._features.users(batch)
            doubts.users.update(userid for userid in batch if expected.user(userid) != stored.get(userid))
            doubts.user_rows.update(userid for userid in batch if expected.user_row(userid) != rows.get(userid))
            progress("comparing users", start / len(userids))
        progress("comparing items", 0.0)
        for shard in range(self._profiles.partitions):
            view = view_shard(self._profiles, shard)
            if view.counters != expected.counters(shard) or view.dead != dict(expected.dead[shard]):
                doubts.shards.add(shard)
        rows = self._features.items(self._itemids)
        doubts.item_rows.update(itemid for itemid in self._itemids if expected.item_row(itemid) != rows.get(itemid))
        self.result.profiles = len(userids)
        self.result.feature_rows = len(userids) + len(self._itemids)

    def look_again(self, progress: Progress) -> None:
        """Compare what differed, each at one offset of its shard."""
        progress("comparing again what differs", 0.0)
        doubts = self._doubts
        for shard in range(self._profiles.partitions):
            of_shard = sorted(userid for userid in doubts.users if self._expected.shard_of(userid) == shard)
            if of_shard or shard in doubts.shards:
                self._shard(shard, of_shard)
        self._rows("user", doubts.user_rows, self._expected.user_row, self._features.users)
        self._rows("item", doubts.item_rows, self._expected.item_row, self._features.items)
        self.result.events = self._expected.events
        self.result.dead = sum(sum(dead.values()) for dead in self._expected.dead)

    def _shard(self, shard: int, userids: Sequence[int]) -> None:
        self.wait_served()
        view = view_shard(self._profiles, shard, userids)
        self._expected.fold_to({shard: view.applied + 1})
        for userid in userids:
            self._check(
                f"profile and seen filter of user {userid}", self._expected.user(userid), view.users.get(userid)
            )
        counters = self._expected.counters(shard)
        for itemid in counters.keys() | view.counters.keys():
            self._check(f"item {itemid} in shard {shard}", counters.get(itemid), view.counters.get(itemid))
        self._check(f"dead events of shard {shard}", dict(self._expected.dead[shard]), dict(view.dead))

    def _rows(
        self,
        kind: str,
        doubted: Iterable[int],
        row_of: Callable[[int], Row | None],
        read: Callable[[Sequence[int]], Mapping[int, Row]],
    ) -> None:
        """Compare rows until each agrees, or differs from a state that did not change meanwhile.

        Raises:
            Unreachable: if some change faster than they can be compared.
        """
        until = time.monotonic() + self._wait_s
        left = set(doubted)
        while left:
            waiting = self._advance()
            self.wait_served()
            looked_at = sorted(left - waiting if kind == "item" else left)
            before = {entity: row_of(entity) for entity in looked_at}
            stored = read(looked_at)
            self._advance()
            for entity in looked_at:
                if before[entity] == stored.get(entity):
                    left.remove(entity)
                elif before[entity] == row_of(entity):
                    left.remove(entity)
                    self._check(f"feature row of {kind} {entity}", before[entity], stored.get(entity))
            if left and time.monotonic() > until:
                raise Unreachable(
                    f"the feature rows of {len(left)} {kind}s still change, or are not published, after "
                    f"{self._wait_s:.0f} s; see in `reelstream status` that a worker is running"
                )
            if left:
                time.sleep(PAUSE_S)

    def _advance(self) -> set[int]:
        """Fold the log to where each shard stands; items whose rows may not be written yet."""
        views = [view_shard(self._profiles, shard) for shard in range(self._profiles.partitions)]
        self._expected.fold_to({shard: view.applied + 1 for shard, view in enumerate(views)})
        return {itemid for view in views for itemid in view.unpublished}

    def _check(self, name: str, expected: object, stored: object) -> None:
        if expected != stored:
            self.result.differing[name] = f"expected {expected}, stored {stored}"
