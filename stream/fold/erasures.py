"""The fold of erasures: all that a shard holds of their users goes, as if none of their events before had been."""

from __future__ import annotations

from collections import Counter

from features import Profile, User, take_out
from stores import Changes, ShardState
from stores.redis.erased_users import ErasedUsers
from stores.redis.profiles import Profiles
from stream.fold.shard_batch import ShardBatch, ShardFold, tail_of


def erase_users(profiles: Profiles, state: ShardState, batch: ShardBatch) -> ShardFold:
    """Fold a batch of erasures into the state of its shard; those at or below its offset change nothing.

    Args:
        profiles: the state, of which the rest is read; the transaction in which `state` was read guards that too.
        state: the profiles of the batch's users.
        batch: the batch, without events.

    Raises:
        Unreachable: if Redis does not answer.
    """
    new = sorted({erasure.userid for record, erasure in batch.erased if record.offset > state.applied})
    dead = [(record, reason) for record, reason in batch.dead if record.offset > state.applied]
    erased = ErasedUsers(profiles, batch.shard, new)
    ratings = erased.ratings()
    counters = take_out(ratings, erased.counters(ratings.keys()), erased.others)
    tail = tail_of(batch.records[-1]) if batch.last > state.applied else None
    changes = Changes({}, {}, counters, Counter(reason for _, reason in dead), tail, new)
    # A user who was erased before, and has come back since, keeps the row.
    after = {**state.profiles, **{userid: Profile(userid) for userid in new}}
    users = [(after[userid], state.users.get(userid) or User(userid)) for userid in batch.userids]
    folded = [*(record for record, _ in batch.erased), *batch.gone]
    applied = sum(record.offset > state.applied for record in folded)
    return ShardFold(batch, changes, users, applied, dead, None)
