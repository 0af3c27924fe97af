"""The state, folded again from what it began with and the whole log."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from offline import data, snapshot, state_snapshot
from offline.errors import DataError
from offline.own_log import require_own_log
from offline.snapshot import Beginning
from offline.split import split
from settings import Settings
from stores import DriftStore, LogError, Profiles, Published, Snapshot, connect, ensure_topics
from stores.log_check import LogIdentity, LogProbe

if TYPE_CHECKING:
    from stores.feature_store import Features

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0 to 1."""


def write_beginning(
    settings: Settings, ratings: data.Ratings, features: Features, progress: Callable[[float], None]
) -> Snapshot:
    """Write the state that the log follows; workers then fold the log from there.

    Raises:
        DataError: if a snapshot of the state is damaged.
        LogError: if the log does not hold every event that follows.
        Unreachable: if a store does not answer.
    """
    return _write(settings, ratings, *_beginning(settings, ratings), features, progress)


def rebuild(settings: Settings, *, progress: Progress) -> Snapshot:
    """Forget the state, and write what the log follows; no stream worker may be running. The log is left as it is.

    Nothing that an event brought about is lost: workers fold the whole log again. Until they have, lists are made from
    an older state. May be called again after failing at any step.

    Raises:
        DataError: if the data folder does not hold the ratings that the state began with, or a snapshot is damaged.
        LogError: if the log is not the state's own, or does not hold every event; the state is then left as it is.
        Unreachable: if a store does not answer.
    """
    from stores.feature_store import Features

    progress("reading the ratings", 0.0)
    ratings = data.load(settings)
    client = connect(settings.redis)
    published, profiles = Published(client), Profiles(client, settings.kafka.topic, settings.kafka.partitions)
    before = published.snapshot()
    if before is not None and before.data_hash != data.data_hash(ratings):
        raise DataError(f"the state began with other data than {settings.data_folder} holds; set ML1M_DIR to them")
    ensure_topics(settings.kafka)
    if before is not None:
        require_own_log(settings, profiles, before.base)
    beginning, log = _beginning(settings, ratings)
    features = Features(settings)
    progress("deleting the state", 0.0)
    published.delete_all()
    profiles.delete_all()
    features.delete_all()
    DriftStore(client).start_over()
    return _write(settings, ratings, beginning, log, features, lambda share: progress("writing the state", share))


def _beginning(settings: Settings, ratings: data.Ratings) -> tuple[Beginning, LogIdentity]:
    """The newest snapshot of the state that the log follows, else the offline history; and the log."""
    probe = LogProbe(settings.kafka, settings.log_heads)
    try:
        bounds = probe.bounds()
    finally:
        probe.close()
    log = bounds[0].log
    name = state_snapshot.latest(settings, data.data_hash(ratings), log)
    for partition, next_offset in state_snapshot.next_offsets(settings, name, settings.kafka.partitions).items():
        if bounds[partition].start > next_offset:
            raise LogError(
                f"partition {partition}: the log begins at offset {bounds[partition].start}, but the state must be "
                f"folded from offset {next_offset}; restore Kafka's data"
            )
    if name is not None:
        return state_snapshot.read(settings, name, ratings.catalogue), log
    places = split(ratings, settings.data).offline
    return Beginning.offline(ratings, places, settings.kafka.partitions), log


def _write(
    settings: Settings,
    ratings: data.Ratings,
    beginning: Beginning,
    log: LogIdentity,
    features: Features,
    progress: Callable[[float], None],
) -> Snapshot:
    client = connect(settings.redis)
    published, profiles = Published(client), Profiles(client, settings.kafka.topic, settings.kafka.partitions)
    places = split(ratings, settings.data).offline
    return snapshot.write(ratings, places, beginning, profiles, published, features, log, progress)
