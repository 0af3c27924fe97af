"""Continuing with a log that is not the one the state was folded from, or that lacks events; profiles are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from features import ascending, user_row
from offline.errors import DataError
from offline.state import state_snapshot
from offline.state.archive_of_log import ArchiveOfLog
from offline.state.lock import lock
from settings import Settings
from stores import (
    DriftStore,
    Generations,
    NotPublished,
    Profiles,
    Published,
    PublishLock,
    StateStores,
    ensure_topics,
)
from stores.feast.feature_store import Features
from stores.kafka.batch_headers import Run, lost, read_runs
from stores.kafka.log import end_of
from stores.kafka.log_check import Checked
from stores.kafka.log_probe import LogProbe
from stores.kafka.topics import GROUP, group_members
from stores.redis.shard_catalogue import read_layer
from stores.redis.shard_log import ShardLogs

LEFT_WITHIN_S = 15.0
"""Seconds that workers get to leave their group; one that was killed leaves when its session is over."""

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0 to 1."""


@dataclass(frozen=True)
class Adopted:
    """A partition that continues.

    Attributes:
        partition: its number.
        why: the reason why it did not.
        folded_to: last offset, in the log before, that the state holds.
        next: offset from which this log is folded.
        lost: offsets of this log whose events are lost, as (first, last).
        lost_after: offset after which every event is lost that was acknowledged before and that this log does not
            hold; None if it has not lost its end.
        passed_over: runs of offsets, as (first, end), that the fold passes over: those of `lost`, and those that were
            given up before and that it has not reached yet.
    """

    partition: int
    why: str
    folded_to: int
    next: int
    lost: list[tuple[int, int]] = field(default_factory=list)
    lost_after: int | None = None
    passed_over: list[tuple[int, int]] = field(default_factory=list)

    def words(self) -> str:
        """Describe it in one line."""
        told = [f"partition {self.partition} continues at offset {self.next}"]
        if self.lost_after is not None:
            told.append(
                f"every event that was acknowledged after offset {self.lost_after} and is not in this log is lost"
            )
        told += [f"the events at offsets {first} to {last} are lost" for first, last in self.lost]
        return "; ".join(told)


@dataclass(frozen=True)
class Adoption:
    """The result of `adopt`.

    Attributes:
        partitions: those that continue.
        snapshot: of the state, from which `verify` folds; None if no partition had to continue.
        archive_set_aside: whether the archive held records that this log does not continue; they are kept in a folder
            of their own.
    """

    partitions: list[Adopted]
    snapshot: str | None
    archive_set_aside: bool = False


def adopt(settings: Settings, *, stop_workers: Callable[[], None], progress: Progress) -> Adoption:
    """Let every stopped partition continue with the log as it is; profiles are kept.

    The state is saved as a snapshot first. A log that is another one, or an older copy, is folded from its beginning:
    an event that the state holds already changes nothing, so none that the log holds is missed. In a log that lacks
    events, those are passed over. May be called again after failing at any step.

    Args:
        settings: all settings.
        stop_workers: stops the workers of this machine, which must not run meanwhile; called once there is a state that
            this release can adopt a log for.
        progress: told of each step.

    Raises:
        ArchiveError: if the archive is damaged.
        DataError: if stream workers are running, or if the archive holds the events that the log lacks.
        NotPublished: if there is no state.
        LockTaken: if a publish, rollback or reset is at work.
        Unreachable: if a store does not answer.
    """
    with lock(settings, "adopt", progress) as held:
        return _adopt(settings, held, stop_workers, progress)


def _adopt(settings: Settings, held: PublishLock, stop_workers: Callable[[], None], progress: Progress) -> Adoption:
    state = StateStores.live(settings)
    published, profiles = state.published, state.profiles
    snapshot = published.snapshot()
    if snapshot is None:
        raise NotPublished("there is no state yet; run `reelstream publish`")
    published.require_state_version()
    stop_workers()
    progress("comparing the log with the state", 0.0)
    ensure_topics(settings.kafka)
    if running := group_members(settings.kafka, GROUP, LEFT_WITHIN_S):
        raise DataError(f"{running} stream workers are running; stop all of them, then run `reelstream adopt` again")
    logs, probe = ShardLogs(profiles), LogProbe(settings.kafka, settings.log_heads)
    try:
        checks = probe.check(logs.positions())
        if probe.partitions not in (None, profiles.partitions):
            raise DataError(
                f"the log has {probe.partitions} partitions, but the state is kept by {profiles.partitions}; run "
                "`reelstream rebuild` first"
            )
        archive = ArchiveOfLog(settings, probe, {shard: checked.bounds for shard, checked in checks.items()})
    finally:
        probe.close()
    begins = state_snapshot.next_offsets(settings, snapshot.base, profiles.partitions)
    _require_lost(checks, archive)
    adopted = [
        found
        for shard, checked in checks.items()
        if (found := plan(shard, checked, begins[shard], archive.first[shard], _rest(settings, shard, checked)))
    ]
    # Before the newest epoch, users may be in other partitions; what the log holds of that is in the state.
    begin = archive.epochs.begins
    adopted = [replace(each, next=max(each.next, begin[each.partition])) for each in adopted]
    if not adopted:
        known = {shard: checked.position.lost for shard, checked in checks.items()}
        return Adoption([], None, archive.set_aside_unless_continued(known))
    nexts = {shard: (checked.position.applied or 0) + 1 for shard, checked in checks.items()}
    nexts |= {each.partition: each.next for each in adopted}
    restart = {each.partition for each in adopted}
    log = next(iter(checks.values())).bounds.log
    name = state_snapshot.write(
        settings,
        profiles,
        snapshot.data_hash,
        log,
        nexts,
        restart,
        lambda share: progress("saving the state", share),
    )
    progress("writing feature rows", 0.0)
    _write_rows(settings, profiles, published)
    published.set_snapshot(snapshot.model_copy(update={"base": name}))
    for each in adopted:
        logs.adopt(each.partition, log, each.next - 1, each.passed_over)
    known = {shard: position.lost for shard, position in logs.positions().items()}
    Generations(profiles.client).note_epochs(len(archive.epochs.ended), held)
    set_aside = archive.set_aside_unless_continued(known)
    probe.forget_heads(each.partition for each in adopted)
    try:
        probe.advance_heads(probe.check(logs.positions()))
    finally:
        probe.close()
    if any(each.lost_after is not None for each in adopted):
        DriftStore(profiles.client).start_over(end_of(settings.kafka, settings.kafka.features_topic) - 1)
    return Adoption(adopted, name, set_aside)


def _require_lost(checks: Mapping[int, Checked], archive: ArchiveOfLog) -> None:
    """Refuse to give up events that the archive holds.

    Raises:
        DataError: if it does, for a shard whose next events are no longer in the log.
    """
    for shard, checked in checks.items():
        applied, start = checked.position.applied, checked.bounds.start
        if applied is not None and archive.first[shard] <= applied + 1 < start:
            raise DataError(
                f"partition {shard}: the state was folded up to offset {applied}, and the archive holds the events "
                f"from there to offset {start}, at which the log begins; run `reelstream rebuild`, which loses none"
            )


def plan(shard: int, checked: Checked, begins: int, first: int, runs: Sequence[Run]) -> Adopted | None:
    """Return how a partition continues with its log as it is; None if it needs no help.

    Args:
        begins: offset of the first record of the log that the snapshot of the state does not hold.
        first: offset from which on archive and log hold every record.
        runs: the log from the record that the state needs next to its end.
    """
    position, bounds = checked.position, checked.bounds
    if position.applied is None:
        raise NotPublished("the snapshot of the offline history is incomplete; run `reelstream publish`")
    next_offset = position.applied + 1
    if bounds.start <= next_offset and (checked.mismatch is not None or _unproved(checked)):
        return Adopted(shard, checked.why or "", position.applied, bounds.start, lost_after=position.applied)
    holes = _holes(next_offset, bounds.end, runs, position.lost)
    if not holes and first <= begins and checked.lost_head is None:
        return None
    return Adopted(
        shard,
        checked.why or position.stopped or f"partition {shard}: the log begins at offset {bounds.start}",
        position.applied,
        max(next_offset, bounds.start),
        [(first, end - 1) for first, end in holes],
        # The log lost its end after all that the state holds; what may stand in the place of it now is folded.
        lost_after=None if checked.lost_head is None else position.applied,
        passed_over=sorted([*holes, *(run for run in position.lost if run[1] > next_offset)]),
    )


def _unproved(checked: Checked) -> bool:
    """Return True if a log that lost its end may hold records other than those that were folded, as far as is known.

    They are the same if the last one folded is, which cannot be told once it was trimmed.
    """
    head, tail = checked.lost_head, checked.position.tail
    return head is not None and (tail is None or tail.offset < checked.bounds.start or head.offset <= tail.offset)


def _rest(settings: Settings, shard: int, checked: Checked) -> Sequence[Run]:
    """The log from the record that the state needs next to its end."""
    first, end = (checked.position.applied or 0) + 1, checked.bounds.end
    return read_runs(settings.kafka, shard, first, end) if first < end else []


def _holes(first: int, end: int, runs: Sequence[Run], known: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Runs of offsets from `first` up to before `end` whose events are lost, without those that are known."""
    runs = sorted([*runs, *(Run(at, until, False) for at, until in known)], key=lambda run: run.first)
    holes: list[tuple[int, int]] = []
    while first < end and (hole := lost((first, end), runs)):
        holes.append(hole)
        first = hole[1]
    return holes


def _write_rows(settings: Settings, profiles: Profiles, published: Published) -> None:
    """Write the feature rows of all users: a worker that died may have left the newest unwritten."""
    schema = profiles.schema
    features = Features(settings, schema, profiles.generation)
    items = published.catalogue()
    layers = [read_layer(profiles, shard, items) for shard in range(profiles.partitions)]
    userids = ascending(profiles.userids())
    for start in range(0, len(userids), state_snapshot.BATCH):
        batch = userids[start : start + state_snapshot.BATCH]
        users = profiles.attributes(batch)
        features.write_users(
            (userid, user_row(schema, profile, users[userid], layers[profiles.shard_of(userid)]))
            for userid, (profile, _) in profiles.read_users(batch).items()
        )
