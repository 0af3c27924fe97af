"""The snapshot: all profiles, counters and feature rows as they stand after the offline history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from features import Catalogue, Row, item_row, merge, user_row
from offline.data import Ints, Ratings, data_hash
from offline.history import State, replay
from offline.split import time_order
from stores import Profiles, Published, Snapshot, partition_of
from stores.log_check import LogIdentity

if TYPE_CHECKING:
    from stores.feature_store import Features

Progress = Callable[[float], None]
"""Called with the share that is done, 0 to 1."""


class Shards:
    """The state that the stream would hold, in memory: one `State` for each partition.

    Args:
        catalogue: items and users.
        partitions: partitions of the topic.
    """

    def __init__(self, catalogue: Catalogue, partitions: int) -> None:
        self.catalogue = catalogue
        self.states = [State(catalogue) for _ in range(partitions)]

    @classmethod
    def after(cls, ratings: Ratings, places: Ints, partitions: int) -> Shards:
        """The state after these events, folded in time order."""
        shards = cls(ratings.catalogue, partitions)
        order = time_order(ratings, places)
        shard_of = {userid: partition_of(userid, partitions) for userid in ratings.catalogue.users}
        of_event = np.array([shard_of[userid] for userid in ratings.userid[order].tolist()], dtype=np.int64)
        for shard, state in enumerate(shards.states):
            replay(ratings, order[of_event == shard], state)
        return shards

    def others(self, shard: int) -> dict[int, tuple[int, int]]:
        """(ratings, likes) of each item in all shards but one."""
        found: dict[int, tuple[int, int]] = {}
        for number, state in enumerate(self.states):
            if number != shard:
                for itemid, counter in state.counters.items():
                    n, likes = found.get(itemid, (0, 0))
                    found[itemid] = n + counter.n, likes + counter.likes
        return found

    def user_rows(self) -> Iterator[tuple[int, Row]]:
        """Feature rows of all users that have events."""
        for state in self.states:
            for userid, profile in state.profiles.items():
                yield userid, user_row(profile, self.catalogue.user(userid), state.genres_of)

    def item_rows(self) -> Iterator[tuple[int, Row]]:
        """Feature rows of all items of the catalogue."""
        for itemid, item in self.catalogue.items.items():
            partials = [state.counters[itemid] for state in self.states if itemid in state.counters]
            yield itemid, item_row(merge(partials), item)


def write(
    ratings: Ratings,
    places: Ints,
    profiles: Profiles,
    published: Published,
    features: Features,
    log: LogIdentity,
    progress: Progress,
) -> Snapshot:
    """Write the snapshot into Redis and Feast; `log` is the one whose events follow it.

    A shard that has an `applied` offset already is left as it is: events have been folded into it. So a snapshot that
    was cut off is completed by the next try.

    Raises:
        Unreachable: if a store does not answer.
    """
    shards = Shards.after(ratings, places, profiles.partitions)
    progress(0.5)
    features.apply()
    features.write_users(shards.user_rows())
    features.write_items(shards.item_rows())
    progress(0.7)
    published.set_catalogue(dict(ratings.catalogue.items))
    for shard in range(profiles.partitions):
        published.set_others(shard, shards.others(shard))
    positions = profiles.applied()
    for shard, state in enumerate(shards.states):
        if positions[shard] is None:
            users = [user for user in ratings.catalogue.users.values() if profiles.shard_of(user.userid) == shard]
            profiles.write_shard(shard, state.profiles, state.seen, state.counters, users, log)
        progress(0.7 + 0.3 * (shard + 1) / profiles.partitions)
    snapshot = Snapshot(
        data_hash=data_hash(ratings),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        events=len(places),
        users=sum(len(state.profiles) for state in shards.states),
        items=len(ratings.catalogue.items),
    )
    published.set_snapshot(snapshot)
    return snapshot
