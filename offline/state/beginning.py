"""The state that the log follows: the newest snapshot of the state that `adopt` left, else the offline history."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from offline.data import readers
from offline.data.split import split
from offline.state import snapshot, state_snapshot
from offline.state.own_log import first_offsets
from offline.state.snapshot import Beginning
from settings import Settings
from stores import LogError, Logged, Snapshot, StateStores
from stores.archive import manifest
from stores.kafka.log_check import LogBounds, LogIdentity
from stores.kafka.log_probe import LogProbe

if TYPE_CHECKING:
    from stores.feast.feature_store import Features


def write_beginning(
    settings: Settings,
    ratings: readers.Ratings,
    features: Features,
    folding: Callable[[float], None],
    progress: Callable[[float], None],
) -> Snapshot:
    """Write the state that the log follows; workers then fold the log from there.

    Args:
        settings: all settings.
        ratings: the offline history.
        features: the feature store.
        folding: told the share of what only the archive holds that is folded.
        progress: told the share of the state that is written.

    Raises:
        DataError: if a snapshot of the state is damaged.
        LogError: if the log does not hold every event that follows.
        Unreachable: if a store does not answer.
    """
    return write(settings, ratings, *beginning_of(settings, ratings, folding), features, progress)


def beginning_of(
    settings: Settings,
    ratings: readers.Ratings,
    folding: Callable[[float], None],
    found_dead: Callable[[Logged, str], None] = lambda record, reason: None,
) -> tuple[Beginning, LogIdentity]:
    """Return the state that the log follows, and the log. What workers cannot fold is folded into the state.

    That is what only the archive holds, and what was appended before the log got more partitions.

    Args:
        settings: all settings.
        ratings: the offline history.
        folding: told the share that is folded.
        found_dead: told of each record that is dead, and why.

    Raises:
        ArchiveError: if the log was trimmed, and the archive is damaged or that of another log.
        DataError: if a snapshot of the state is damaged.
        LogError: if archive and log do not hold every event that follows.
        Unreachable: if a store does not answer.
    """
    begins, bounds = beginning_of_archive(settings, ratings)
    epochs = (manifest.read(settings.archive_folder) or manifest.Manifest()).log_epochs(len(bounds))
    ends = {partition: max(each.start, epochs.begins[partition]) for partition, each in bounds.items()}
    if any(ends[partition] > next_offset for partition, next_offset in begins.next_offsets.items()):
        from offline.state.archived_log import fold_archived

        # Folded in place, while the state after the offline history is still needed as it is.
        shards = _beginning(settings, ratings, begins.base).shards
        begins = fold_archived(settings, begins, shards, ends, folding, found_dead)
    return begins, bounds[0].log


def beginning_of_archive(settings: Settings, ratings: readers.Ratings) -> tuple[Beginning, Mapping[int, LogBounds]]:
    """Return the state that archive and log follow, and the bounds of the log.

    Raises:
        ArchiveError: if the log was trimmed, and the archive is damaged or that of another log.
        DataError: if a snapshot of the state is damaged.
        LogError: if archive and log do not hold every event that follows.
        Unreachable: if a store does not answer.
    """
    probe = LogProbe(settings.kafka, settings.log_heads)
    try:
        bounds = probe.bounds()
        first = first_offsets(settings, probe, bounds)
    finally:
        probe.close()
    name = state_snapshot.latest(settings, readers.data_hash(ratings), bounds[0].log)
    next_offsets = state_snapshot.next_offsets(settings, name, settings.kafka.partitions)
    for partition, next_offset in next_offsets.items():
        if first[partition] > next_offset:
            raise LogError(
                f"partition {partition}: archive and log begin at offset {first[partition]}, but the state must be "
                f"folded from offset {next_offset}; restore Kafka's data, or the archive from a backup"
            )
    return _beginning(settings, ratings, name), bounds


def _beginning(settings: Settings, ratings: readers.Ratings, name: str | None) -> Beginning:
    """The state in a snapshot; without one, the state after the offline history."""
    places, waiting_events = split(ratings, settings.data).offline, settings.catalogue.waiting_events
    offline = Beginning.offline(ratings, places, settings.kafka.partitions, waiting_events)
    return offline if name is None else state_snapshot.read(settings, name, offline.archive)


def write(
    settings: Settings,
    ratings: readers.Ratings,
    beginning: Beginning,
    log: LogIdentity,
    features: Features,
    progress: Callable[[float], None],
) -> Snapshot:
    """Write a state that the log follows; raises Unreachable if a store does not answer."""
    state = StateStores.live(settings)
    live = snapshot.LiveState(state.profiles, state.published, features)
    return snapshot.write(ratings, split(ratings, settings.data).offline, beginning, live, log, progress)
