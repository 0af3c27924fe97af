"""The fold of erasures: all that a shard holds of their users goes, as if none of their events before had been."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from features.erasure import take_out
from features.ids import Id, ascending, id_text
from features.layer import Items
from features.schema import Schema
from stores import Changes, ShardState
from stores.redis.erased_users import ErasedUsers
from stores.redis.packed_changes import Waiting
from stores.redis.profiles import Profiles
from stores.redis.shard_catalogue import read_waiting
from stream.fold.shard_batch import ShardBatch
from stream.fold.shard_fold import ShardFold, reasons, tail_after


def erase_users(schema: Schema, profiles: Profiles, state: ShardState, batch: ShardBatch, items: Items) -> ShardFold:
    """Fold a batch of erasures into the state of its shard; those at or below its offset change nothing.

    Args:
        schema: of the data set.
        profiles: the state, of which the rest is read; the transaction in which `state` was read guards that too.
        state: the profiles of the batch's users.
        batch: the batch, without events.
        items: the catalogue as the shard knows it.

    Raises:
        Unreachable: if Redis does not answer.
    """
    userids = ascending({erasure.userid for _, erasure in batch.erased})
    new = ascending({erasure.userid for record, erasure in batch.erased if record.offset > state.applied})
    dead = [(record, reason) for record, reason in batch.dead if record.offset > state.applied]
    erased = ErasedUsers(profiles, batch.shard, new)
    events = erased.events()
    counters = take_out(schema.codes, events, erased.counters(events.keys()), erased.others)
    waiting, waited = _without(read_waiting(profiles, batch.shard), new) if state.waits and new else ({}, 0)
    tail = tail_after(batch, state.applied)
    changes = Changes({}, {}, counters, reasons(dead), tail, new, waiting=waiting, waited=waited)
    # A user who was erased before, and has come back since, keeps the row.
    after = {**state.profiles, **{userid: schema.profile(userid) for userid in new}}
    users = [(after[userid], state.users.get(userid) or schema.user(userid)) for userid in userids]
    folded = [*(record for record, _ in batch.erased), *batch.gone]
    applied = sum(record.offset > state.applied for record in folded)
    return ShardFold(batch, changes, users, items, applied, dead)


def _without(waiting: Mapping[Id, Sequence[Waiting]], userids: Collection[Id]) -> tuple[dict[Id, list[Waiting]], int]:
    """The events that wait for items, of which some users had one, without those; and by how many they are more."""
    keys = {id_text(userid).encode() for userid in userids}
    left = {itemid: [entry for entry in entries if entry.key not in keys] for itemid, entries in waiting.items()}
    left = {itemid: entries for itemid, entries in left.items() if len(entries) < len(waiting[itemid])}
    return left, sum(len(entries) - len(waiting[itemid]) for itemid, entries in left.items())
