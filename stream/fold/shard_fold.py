"""The fold of a batch of events and changes into the state of its shard, in memory. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from features.catalogue import User
from features.changes import UserChange
from features.event import Event
from features.ids import Id
from features.layer import Changed, Items, Layer
from features.profile import Profile
from features.schema import Schema
from features.waiting import TOO_MANY
from stores import Changes, Logged, ShardState
from stores.kafka.record import Mark, fingerprint
from stream.fold.event_fold import EventFold
from stream.fold.inputs import Moments
from stream.fold.shard_batch import Dead, ShardBatch, Unreadable
from stream.fold.waiting_events import WaitingEvents


@dataclass(frozen=True, slots=True)
class ShardFold:
    """The result of folding a batch into a shard.

    Attributes:
        batch: the batch.
        changes: what is to be committed.
        users: the users of all its records, redelivered ones too, each as after the batch; their rows are to be
            written, and deleted where the user has no profile.
        items: the catalogue as the shard knows it after the batch.
        applied: records that the state had not folded yet, without the dead letters.
        dead: dead letters that the state had not counted yet.
        spoiled: those of them that have waited, and meet stored values that cannot be read.
        moments: the ranker's inputs before each event that counts; None where drift is not watched.
    """

    batch: ShardBatch
    changes: Changes
    users: Sequence[tuple[Profile, User]]
    items: Items
    applied: int
    dead: Sequence[Dead]
    spoiled: Sequence[Dead] = ()
    moments: Moments | None = None

    @property
    def redelivered(self) -> int:
        """Records that the state had folded already."""
        return max(0, len(self.batch.records) - self.applied - len(self.dead))

    @property
    def changed(self) -> bool:
        """True if there is anything to commit."""
        return bool(self.applied or self.dead)

    def followed_by(self, later: ShardFold) -> ShardFold:
        """The result of both folds, to be reported as one."""
        batch = replace(later.batch, records=[*self.batch.records, *later.batch.records])
        return replace(later, batch=batch, applied=self.applied + later.applied, dead=[*self.dead, *later.dead])


@dataclass(frozen=True, slots=True)
class Known:
    """The catalogue, the damage and the limits that a batch is folded with, beside the state of its shard.

    Attributes:
        items: the catalogue; a layer, which is taken over, where the batch changes items.
        unreadable: the stored values that cannot be read.
        most_waiting: how many events of items that the shard does not know may wait.
    """

    items: Items
    unreadable: Unreadable
    most_waiting: int


def fold_batch(
    schema: Schema, state: ShardState, batch: ShardBatch, known: Known, moments: Moments | None
) -> ShardFold:
    """Fold a batch of events and changes into the state of its shard; records at or below its offset change nothing.

    A change of an item that the shard did not know brings the events that wait for it: they are folded at the position
    of the change, in the order of the log.

    Args:
        schema: of the data set.
        state: what the shard holds of the batch's users and items; it is taken over.
        batch: the batch, without erasures.
        known: what else the shard knows.
        moments: takes the moment before each event that counts.
    """
    applied, items = state.applied, known.items
    folding = EventFold(schema, state, items, moments)
    waiting = WaitingEvents(folding, batch.shard, known.unreadable, known.most_waiting)
    dead = [(record, reason) for record, reason in batch.dead if record.offset > applied]
    folded = sum(record.offset > applied for record in batch.gone)
    layer, current = dict[Id, Changed](), 0
    userids, changed_users, again = set[Id](), set[Id](), False
    for record, read in batch.valid:
        new = record.offset > applied
        if isinstance(read, Event):
            if read.itemid in items:
                userids.add(read.userid)
                if new:
                    folding.take(read, record)
            elif new and not waiting.add(record, read.itemid):
                dead.append((record, TOO_MANY))
                continue
        elif isinstance(read, UserChange):
            changed_users.add(read.userid)
            if new:
                folding.change_user(read)
        elif not new:
            again = True
        elif isinstance(items, Layer) and items.apply(read):
            layer[read.itemid] = items.changed[read.itemid]
            current += 1
            if read.itemid in items:
                waiting.bring(read.itemid)
        folded += new
    # A change that comes again may have been committed, and the rows of its users not written.
    unwritten = waiting.userids | (state.unwritten if again else frozenset())
    changes = Changes(
        folding.profiles,
        folding.rated,
        folding.counters,
        reasons([*dead, *waiting.dead]),
        tail_after(batch, applied),
        users=folding.users,
        layer=layer,
        current=current,
        waiting=waiting.waiting,
        waited=waiting.waited,
        unwritten=unwritten if layer else None,
    )
    userids |= unwritten | {userid for userid in changed_users if state.profiles[userid].version}
    users = folding.users_now(userids)
    return ShardFold(batch, changes, users, items, folded, [*dead, *waiting.dead], waiting.dead, moments)


def reasons(dead: Sequence[Dead]) -> Counter[str]:
    """The number of dead letters by reason."""
    return Counter(reason for _, reason in dead)


def tail_after(batch: ShardBatch, applied: int) -> Mark | None:
    """The last record of a batch as the state remembers it; None where the state has folded it already."""
    return tail_of(batch.records[-1]) if batch.last > applied else None


def tail_of(record: Logged) -> Mark:
    """A record as the state remembers the last one folded into it."""
    return Mark(record.offset, fingerprint(record.created, record.key, record.value))
