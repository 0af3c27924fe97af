"""The snapshot: all profiles, counters and feature rows as they stand after the offline history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from datasets import first_schema
from features import Catalogue, Id, Layer, Row, Schema, User, item_row, merge, user_row
from offline.data.history import WAITING_EVENTS, State, replay
from offline.data.readers import Ints, Ratings, data_hash
from offline.data.split import time_order
from offline.errors import RunError
from offline.state.waiting_records import as_records
from settings import Settings
from stores import (
    DriftStore,
    Generations,
    NotPublished,
    OtherVersion,
    Profiles,
    Published,
    Snapshot,
    StateStores,
    delete_topics,
    partition_of,
)
from stores.kafka.log_check import LogIdentity
from stores.kafka.topics import GROUP, group_members
from stores.redis.generations import FIRST
from stores.redis.log_start import LogStart

if TYPE_CHECKING:
    from stores.feast.feature_store import Features

Progress = Callable[[float], None]
"""Called with the share that is done, 0 to 1."""


class Shards:
    """The state that the stream would hold, in memory: one `State` for each partition.

    Args:
        schema: of the data set.
        catalogue: items and users, as published.
        partitions: partitions of the topic.
        waiting_events: how many events of unknown items wait in a shard.
    """

    def __init__(
        self, schema: Schema, catalogue: Catalogue, partitions: int, waiting_events: int = WAITING_EVENTS
    ) -> None:
        self.schema, self.catalogue, self.waiting_events = schema, catalogue, waiting_events
        self.states = [State(schema, catalogue, waiting_events=waiting_events) for _ in range(partitions)]

    @classmethod
    def after(cls, ratings: Ratings, places: Ints, partitions: int, waiting_events: int = WAITING_EVENTS) -> Shards:
        """The state after these events, folded in time order."""
        shards = cls(ratings.schema, ratings.catalogue, partitions, waiting_events)
        order = time_order(ratings, places)
        # An erased user has no events.
        of_user = [0 if userid is None else partition_of(userid, partitions) for userid in ratings.users.ids]
        of_event = np.array(of_user, dtype=np.int64)[ratings.user[order] - 1]
        for shard, state in enumerate(shards.states):
            replay(ratings, order[of_event == shard], state)
        return shards

    def others(self, shard: int) -> dict[Id, tuple[int, int]]:
        """(events, positive ones) of each item in all shards but one."""
        found: dict[Id, tuple[int, int]] = {}
        for number, state in enumerate(self.states):
            if number != shard:
                for itemid, counter in state.counters.items():
                    n, likes = found.get(itemid, (0, 0))
                    found[itemid] = n + counter.n, likes + counter.likes
        return found

    def user_rows(self) -> Iterator[tuple[Id, Row]]:
        """Feature rows of all users that have events."""
        for state in self.states:
            for userid, profile in state.profiles.items():
                yield userid, user_row(self.schema, profile, state.user(userid), state.layer)

    def layer(self) -> Layer:
        """The catalogue with the highest version of each item."""
        return Layer.merged([state.layer for state in self.states])

    def users(self, shard: int) -> Iterator[User]:
        """The users of a shard whose attributes are known."""
        state, partitions = self.states[shard], len(self.states)
        for userid in self.catalogue.users:
            if partition_of(userid, partitions) == shard and userid not in state.erased | state.changed_users.keys():
                yield self.catalogue.users[userid]
        yield from state.changed_users.values()

    def item_rows(self) -> Iterator[tuple[Id, Row]]:
        """Feature rows of all items, those that have come since the catalogue was published too."""
        for itemid, item in self.layer().items():
            partials = [state.counters[itemid] for state in self.states if itemid in state.counters]
            yield itemid, item_row(self.schema, merge(partials), item)


@dataclass(frozen=True)
class Beginning:
    """The state that the log follows.

    Attributes:
        shards: the state.
        archive: the state after the offline history alone.
        next_offsets: by shard, offset of the first event of the log that is not in it.
        dead: by shard, dead letters before that, by reason.
        base: name of the snapshot that it was read from; None where it is the offline history.
    """

    shards: Shards
    archive: Shards
    next_offsets: Mapping[int, int]
    dead: Sequence[Mapping[str, int]]
    base: str | None = None

    @classmethod
    def offline(
        cls, ratings: Ratings, places: Ints, partitions: int, waiting_events: int = WAITING_EVENTS
    ) -> Beginning:
        """The state after the offline history, whose events are at `places`."""
        shards = Shards.after(ratings, places, partitions, waiting_events)
        return cls(shards, shards, dict.fromkeys(range(partitions), 0), [{} for _ in range(partitions)])

    def starts(self, log: LogIdentity) -> list[LogStart]:
        """By shard, where the log continues."""
        return [LogStart(log, self.next_offsets[shard] - 1, dead) for shard, dead in enumerate(self.dead)]


@dataclass(frozen=True)
class LiveState:
    """The stores that hold the live state.

    Attributes:
        profiles: the shards, in Redis.
        published: what is published, in Redis.
        features: the feature rows, in Feast.
    """

    profiles: Profiles
    published: Published
    features: Features


def write(
    ratings: Ratings,
    places: Ints,
    beginning: Beginning,
    live: LiveState,
    log: LogIdentity,
    progress: Progress,
) -> Snapshot:
    """Write the state that the log follows into Redis and Feast.

    A shard that has an `applied` offset already is left as it is: events have been folded into it. So a snapshot that
    was cut off is completed by the next try; that it has begun, and with which data, is noted before.

    Args:
        ratings: all events.
        places: of the offline history in them.
        beginning: the state.
        live: the stores.
        log: the log that follows it.

    Raises:
        Unreachable: if a store does not answer.
    """
    snapshot = write_archive(ratings, places, beginning, live.published)
    write_state(beginning.shards, beginning.starts(log), live, progress)
    live.published.set_snapshot(snapshot)
    return snapshot


def write_archive(ratings: Ratings, places: Ints, beginning: Beginning, published: Published) -> Snapshot:
    """Begin a snapshot, and write what of it follows from the offline history alone.

    Returns:
        The description with which the snapshot is complete, once the state is written.
    """
    published.begin_snapshot(data_hash(ratings), ratings.schema)
    published.set_catalogue(ratings.catalogue.items)
    for shard in range(len(beginning.archive.states)):
        published.set_others(shard, beginning.archive.others(shard))
    return Snapshot(
        data_hash=data_hash(ratings),
        created=datetime.now(UTC).isoformat(timespec="microseconds"),
        events=len(places),
        users=sum(len(state.profiles) for state in beginning.archive.states),
        items=len(ratings.catalogue.items),
        base=beginning.base,
    )


def write_state(shards: Shards, starts: Sequence[LogStart], live: LiveState, progress: Progress) -> None:
    """Write feature rows and shards; a shard that has an `applied` offset already is left as it is.

    Args:
        shards: the state.
        starts: by shard, where the log continues.
        live: the stores.
        progress: called with the share that is done.
    """
    progress(0.0)
    profiles, features = live.profiles, live.features
    features.apply()
    features.write_users(shards.user_rows())
    features.write_items(shards.item_rows())
    progress(0.5)
    positions = profiles.applied()
    if profiles.evicted is not None and not any(position is not None for position in positions):
        profiles.evicted.delete_all()  # of a state of the same name, which Redis has lost
    for shard, state in enumerate(shards.states):
        if positions[shard] is None:
            waiting = as_records(shards.schema, state.waiting)
            users = shards.users(shard)
            profiles.write_shard(
                shard, state.profiles, state.seen, state.counters, users, starts[shard], state.layer, waiting
            )
        progress(0.5 + 0.5 * (shard + 1) / profiles.partitions)


def delete_generation(settings: Settings, name: str) -> None:
    """Delete a generation of the state; first what workers need, without which none can write to it.

    Raises:
        Unreachable: if Redis does not answer.
    """
    from stores.feast.feature_store import Features

    state = StateStores.of(settings, name)
    schema = _schema_of(state.published)
    state.profiles.delete_all()
    features = Features(settings, schema, name)
    features.delete_all()
    if name != FIRST:
        features.forget()
    state.published.delete_all()
    Generations(state.profiles.client).forget(name)


def _schema_of(published: Published) -> Schema:
    """The schema of a state that is to be deleted; another one where its own is gone, or of another release.

    Feast asks for one, though rows are deleted without it.
    """
    try:
        return published.schema()
    except (NotPublished, OtherVersion):
        return first_schema()


WAIT_S = 30.0
"""Seconds that Kafka gets to notice that the workers have left: more than the session of one that was killed."""


def delete(settings: Settings, live: StateStores, progress: Callable[[bool, float], None]) -> None:
    """Delete all generations of the state and then log and archive, so that nothing is folded into the other's remains.

    What was cut off is noted in Redis until all is gone. Called again, it deletes the rest.

    Args:
        settings: all settings.
        live: the live generation.
        progress: told whether the log is being deleted, and the share that is done.

    Raises:
        RunError: if a stream worker is running.
        Unreachable: if a store does not answer.
    """
    # Imported late, as `publish` does without it where it only swaps a model.
    from stores.archive.archive import Archive

    progress(False, 0.0)
    require_no_workers(settings)
    live.published.begin_reset()
    generations = Generations(live.profiles.client)
    names = {live.generation, generations.live().previous or FIRST, *generations.unused()}
    for place, name in enumerate(sorted(names, key=lambda name: name != live.generation)):
        delete_generation(settings, name)
        progress(False, 0.8 * (place + 1) / len(names))
    generations.delete_all()
    DriftStore(live.profiles.client).delete_all()
    progress(True, 0.0)
    archive = Archive(settings.archive_folder)
    with archive.locked():
        delete_topics(settings.kafka)
        archive.delete()
    progress(True, 0.9)
    live.published.end_reset()


def require_no_workers(settings: Settings) -> None:
    """Wait until no stream worker reads the log.

    Raises:
        RunError: if one does.
        Unreachable: if Kafka does not answer.
    """
    if running := group_members(settings.kafka, GROUP, WAIT_S):
        raise RunError(
            f"{running} stream workers are running and would fold events into the state while it is deleted; "
            "stop them (with Docker: `docker compose stop worker`) and run the command again"
        )
