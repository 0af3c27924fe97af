"""The proof that nothing was lost or counted twice: the whole log folded again, compared with what is stored."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from features import EventError, Item, ItemCounter, Row, item_row, merge, user_row
from offline import data
from offline.errors import DataError
from offline.history import State
from offline.snapshot import Shards
from offline.split import split
from settings import Settings
from stores import Log, NotPublished, Profiles, Published, Unreachable, connect, understand
from stores.feature_store import Features

ROUNDS = 5
BATCH = 500
EXAMPLES = 20

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

    The stream has to catch up first, so it is for moments without a steady flow of events: what few arrive meanwhile
    are folded too, and all is compared again.

    Args:
        settings: all settings.
        wait_s: seconds to wait for the stream to catch up with the log.
        progress: told of each step.

    Raises:
        NotPublished: if there is no snapshot.
        DataError: if the state began with other data than the data folder holds.
        Unreachable: if a store does not answer, or the stream does not catch up.
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
    shards = Shards.after(ratings, split(ratings, settings.data).offline, profiles.partitions)
    comparison = _Comparison(shards, profiles, Features(settings), ratings.catalogue.items)
    log = Log(settings.kafka)
    try:
        for _ in range(ROUNDS):
            ends = log.ends()
            comparison.fold(log, ends, progress)
            _wait(profiles, ends, wait_s, progress)
            comparison.compare(progress)
            if not comparison.result.differing or log.ends() == ends:
                break
    finally:
        log.close()
    return comparison.result


def _wait(profiles: Profiles, ends: dict[int, int], wait_s: float, progress: Progress) -> None:
    """Wait until all events before `ends` are in every store.

    Raises:
        Unreachable: if they are not in time.
    """
    until = time.monotonic() + wait_s
    while True:
        positions = zip(profiles.applied(), profiles.served(), strict=True)
        behind = sum(
            max(0, ends[shard] - 1 - min(-1 if applied is None else applied, -1 if served is None else served))
            for shard, (applied, served) in enumerate(positions)
        )
        unpublished = profiles.unpublished()
        if not behind and not unpublished:
            return
        if time.monotonic() > until:
            raise Unreachable(
                f"the stream is {behind} events and {unpublished} items behind the log after {wait_s:.0f} s; "
                "wait for the end of a replay, and see in `reelstream status` that a worker is running"
            )
        progress(f"waiting for the stream, {behind} events behind", 0.0)
        time.sleep(0.05)


class _Comparison:
    def __init__(self, shards: Shards, profiles: Profiles, features: Features, items: Mapping[int, Item]) -> None:
        self._shards = shards
        self._profiles = profiles
        self._features = features
        self._items = items
        self._dead: Counter[str] = Counter()
        self.result = Verified()

    def fold(self, log: Log, ends: dict[int, int], progress: Progress) -> None:
        """Fold the events up to `ends` that are not folded yet."""
        total = max(1, sum(ends.values()))
        for batch in log.read_to(ends):
            for record in batch:
                try:
                    event = understand(record, self._items, self._profiles.partitions)
                except EventError as error:
                    self._dead[str(error)] += 1
                    self.result.dead += 1
                else:
                    self._shards.states[record.partition].step(event)
                    self.result.events += 1
            progress("folding the log", (self.result.events + self.result.dead) / total)

    def compare(self, progress: Progress) -> None:
        """Compare everything; the result's figures are those of this comparison."""
        result = self.result
        result.differing.clear()
        result.profiles = result.items = result.feature_rows = 0
        states = {userid: state for state in self._shards.states for userid in state.profiles}
        userids = sorted(states.keys() | self._profiles.userids())
        for start in range(0, len(userids), BATCH):
            self._users(userids[start : start + BATCH], states)
            progress("comparing users", start / len(userids))
        progress("comparing items", 0.0)
        self._counters()
        self._item_rows()
        self._check("dead events", dict(self._dead), self._profiles.dead())

    def _users(self, userids: list[int], states: dict[int, State]) -> None:
        stored = self._profiles.read_users(userids)
        rows = self._features.users(userids)
        for userid in userids:
            state = states.get(userid)
            profile, seen = stored.get(userid, (None, None))
            row: Row | None = None
            if state is not None:
                user = self._shards.catalogue.user(userid)
                row = user_row(state.profiles[userid], user, state.genres_of)
            self._check(f"profile {userid}", state and state.profiles[userid], profile)
            self._check(f"seen {userid}", state and state.seen[userid], seen)
            self._check(f"feature row of user {userid}", row, rows.get(userid))
            self.result.profiles += 1
            self.result.feature_rows += 1

    def _counters(self) -> None:
        for shard, state in enumerate(self._shards.states):
            stored = self._profiles.shard_counters(shard)
            for itemid in state.counters.keys() | stored.keys():
                self._check(f"item {itemid} in shard {shard}", state.counters.get(itemid), stored.get(itemid))
        self.result.items = len(self._items)

    def _item_rows(self) -> None:
        rows = self._features.items(sorted(self._items))
        for itemid, item in self._items.items():
            expected = item_row(merge(self._partials(itemid)), item)
            self._check(f"feature row of item {itemid}", expected, rows.get(itemid))
            self.result.feature_rows += 1

    def _partials(self, itemid: int) -> Iterator[ItemCounter]:
        return (state.counters[itemid] for state in self._shards.states if itemid in state.counters)

    def _check(self, name: str, expected: object, stored: object) -> None:
        if expected != stored:
            self.result.differing[name] = f"expected {expected}, stored {stored}"
