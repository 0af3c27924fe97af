"""The fold of a batch of the log into the stores.

The order of effects, for the events of one partition:

    1. what cannot be understood goes to `ratings.dead`, acknowledged by Kafka;
    2. the ranker's inputs as they stood before each event go to the feature log, acknowledged by Kafka;
    3. one Redis transaction, guarded by the shard's `applied`: profiles, seen filters, item counters, counts of dead
       events, and `applied` itself;
    4. the Feast rows of the batch's users, made from the state just written;
    5. `served`, which says that the rows are there;
    6. the offset is acknowledged to Kafka (in `stream.app`).

A crash between any two of them leads to redelivery. Events at or below `applied` change nothing, and their users' rows
are written again from the state. The feature log may hold an event twice, in the same words; its reader goes by
partition and offset.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from features import Event, EventError, Item, ItemCounter, Profile, Rated, User, count, fold, user_row
from stores import Changes, Gap, Logged, Profiles, ShardTransaction, understand
from stores.feature_store import Features
from stream.inputs import Batch, Inputs

ReportDead = Callable[[Sequence[tuple[Logged, str]]], None]
"""Takes events with the reason why they are dead; returns once the log of dead events has them."""


@dataclass(frozen=True, slots=True)
class Folded:
    """What became of a batch.

    Attributes:
        applied: events folded into the state.
        redelivered: events that the state held already.
        dead: events that could not be understood.
        last: offset of the last event.
    """

    applied: int
    redelivered: int
    dead: int
    last: int


class Fold:
    """Folds batches of one worker's partitions.

    Args:
        profiles: the state in Redis.
        features: the feature store.
        items: the catalogue.
        report_dead: where dead events go.
        inputs: makes the batches of the feature log; None where drift is not watched.
    """

    def __init__(
        self,
        profiles: Profiles,
        features: Features,
        items: Mapping[int, Item],
        report_dead: ReportDead,
        inputs: Inputs | None = None,
    ) -> None:
        self._profiles = profiles
        self._features = features
        self._items = items
        self._genres = {itemid: item.genres for itemid, item in items.items()}
        self._report_dead = report_dead
        self._inputs = inputs
        self._served: dict[int, int] = {}

    def __call__(self, shard: int, records: Sequence[Logged]) -> Folded:
        """Fold consecutive events of one partition.

        Raises:
            Gap: if events are missing before the first.
            ShardLost: if another worker has taken the shard.
            NotPublished: if the shard has no snapshot.
            Unreachable: if a store does not answer; the same batch may be given again.
        """
        good, dead = self._read(records)
        transaction = self._profiles.begin(shard, {(event.userid, event.itemid) for _, event in good})
        try:
            applied = transaction.applied
            if records[0].offset > applied + 1:
                raise Gap(
                    f"{self._profiles.topic} partition {shard}: the state stands at offset {applied}, the log goes on "
                    f"at {records[0].offset}; events between are gone. `reelstream publish --reset` begins anew"
                )
            new = [(record, event) for record, event in good if record.offset > applied]
            new_dead = [(record, reason) for record, reason in dead if record.offset > applied]
            if new_dead:
                self._report_dead(new_dead)
            if new or new_dead:
                before = self._inputs.begin(shard, new) if self._inputs else None
                changes = fold_all(transaction, [event for _, event in new], self._items, before)
                if self._inputs and before:
                    self._inputs.log(before)
                changes.dead = Counter(reason for _, reason in new_dead)
                transaction.commit(records[-1].offset, changes)
        finally:
            transaction.abandon()
        self._write_rows({event.userid for _, event in good}, transaction.profiles, transaction.users)
        self._say_served(shard, records[-1].offset)
        return Folded(
            applied=len(new),
            redelivered=len(records) - len(new) - len(new_dead),
            dead=len(new_dead),
            last=records[-1].offset,
        )

    def _read(self, records: Sequence[Logged]) -> tuple[list[tuple[Logged, Event]], list[tuple[Logged, str]]]:
        good, dead = [], []
        for record in records:
            try:
                good.append((record, understand(record, self._items, self._profiles.partitions)))
            except EventError as error:
                dead.append((record, str(error)))
        return good, dead

    def _write_rows(self, userids: set[int], profiles: Mapping[int, Profile], users: Mapping[int, User]) -> None:
        self._features.write_users(
            (userid, user_row(profiles[userid], users[userid], self._genres)) for userid in sorted(userids)
        )

    def _say_served(self, shard: int, offset: int) -> None:
        served = self._served.get(shard)
        if served is None:
            served = self._profiles.served_of(shard)
        if offset > served:
            self._profiles.set_served(shard, offset)
        self._served[shard] = max(served, offset)

    def forget(self, shard: int) -> None:
        """Forget what is remembered of a shard that this worker no longer holds."""
        self._served.pop(shard, None)


def fold_all(
    transaction: ShardTransaction, events: Sequence[Event], items: Mapping[int, Item], before: Batch | None = None
) -> Changes:
    """Fold events, in this order, into the state that a transaction read; what changed is to be committed.

    Where it is given, `before` takes the moment before each event that counts.
    """
    rated: dict[tuple[int, int], Rated] = {}
    profiles: dict[int, Profile] = {}
    counters: dict[int, ItemCounter] = {}
    for place, event in enumerate(events):
        pair = event.userid, event.itemid
        known = rated.get(pair) or transaction.rated.get(pair)
        profile = transaction.profiles[event.userid]
        version = profile.version
        counter = transaction.counters[event.itemid]
        if before:
            before.before(place, profile, transaction.users[event.userid], counter)
        if fold(profile, known, event, items[event.itemid]):
            count(counter, known, event)
            rated[pair] = (event.ts, event.rating)
            counters[event.itemid] = counter
        elif before:
            before.drop()
        if profile.version != version:
            profiles[event.userid] = profile
    return Changes(profiles, rated, counters, {})


def dead_message(record: Logged, reason: str) -> tuple[bytes, bytes]:
    """Key and value of a dead event: where it stood, why it is dead, and its bytes as latin-1 text."""
    fields = {
        "partition": record.partition,
        "offset": record.offset,
        "reason": reason,
        "key": None if record.key is None else record.key.decode("latin-1"),
        "value": None if record.value is None else record.value.decode("latin-1"),
    }
    return f"{record.partition}-{record.offset}".encode(), json.dumps(fields).encode()
