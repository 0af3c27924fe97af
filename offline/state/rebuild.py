"""The state, folded again from what it began with and the whole log."""

from __future__ import annotations

from collections.abc import Callable

from offline.data import readers
from offline.errors import DataError
from offline.state import beginning, snapshot
from offline.state.lock import lock
from offline.state.own_log import require_own_log
from settings import Settings
from stores import DriftStore, Profiles, Published, Snapshot, connect, ensure_topics
from stores.kafka.log import end_of

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0 to 1."""


def rebuild(settings: Settings, *, stop_workers: Callable[[], None], progress: Progress) -> Snapshot:
    """Forget the state, and write what the log follows. The log is left as it is.

    Nothing that an event brought about is lost: workers fold the whole log again. Until they have, lists are made from
    an older state. May be called again after failing at any step.

    Args:
        settings: all settings.
        stop_workers: called before the state is deleted.
        progress: told of each step.

    Raises:
        DataError: if the data folder does not hold the ratings that the state began with, or a snapshot is damaged.
        LockTaken: if a publish, rollback, reset or adopt is at work.
        LogError: if the log is not the state's own, or does not hold every event; the state is then left as it is.
        RunError: if a stream worker is running.
        Unreachable: if a store does not answer.
    """
    from stores.feast.feature_store import Features

    progress("reading the ratings", 0.0)
    ratings = readers.load(settings)
    client = connect(settings.redis)
    published, profiles = Published(client), Profiles(client, settings.kafka.topic, settings.kafka.partitions)
    with lock(settings, "rebuild", progress):
        before = published.snapshot()
        if before is not None and before.data_hash != readers.data_hash(ratings):
            raise DataError(
                f"the state was built from other data than {settings.data_folder} holds; set ML1M_DIR to that data"
            )
        ensure_topics(settings.kafka)
        if before is not None:
            require_own_log(settings, profiles, before.base)
        begins, log = beginning.beginning_of(settings, ratings)
        features = Features(settings)
        stop_workers()
        snapshot.require_no_workers(settings)
        progress("deleting the state", 0.0)
        published.begin_rebuild()
        published.delete_all()
        profiles.delete_all()
        features.delete_all()
        DriftStore(client).start_over(end_of(settings.kafka, settings.kafka.features_topic) - 1)
        written = beginning.write(
            settings, ratings, begins, log, features, lambda share: progress("writing the state", share)
        )
        published.end_reset()
    return written
