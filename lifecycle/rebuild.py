"""A new generation of the state, folded from archive and log next to the live one, verified, and put live.

The live state serves meanwhile, and workers fold into it. It is not touched before the switch (`lifecycle.switching`),
and is kept after it, so that it can be switched back to. Where it is lost or incomplete, the new one takes its place.
A process that dies at any step leaves the live state as it is; what it has written is deleted by the next run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, cast

from lifecycle.catch_up import CatchUp
from lifecycle.errors import LifecycleError
from lifecycle.partitions import grow
from lifecycle.switching import OpenLog, Progress, Switched, Switching, drop_unused
from offline.data import readers
from offline.data.readers import Ratings
from offline.data.split import split
from offline.errors import DataError
from offline.state import snapshot
from offline.state.archived_history import archive_history
from offline.state.beginning import beginning_of_archive
from offline.state.lock import lock
from offline.state.own_log import require_own_log
from offline.state.snapshot import LiveState, delete_generation
from settings import Settings
from stores import (
    Generations,
    LogError,
    OtherVersion,
    PublishLock,
    StateStores,
    StoreError,
    Unreachable,
    ensure_topics,
)
from stores.archive import manifest as archive_manifest
from stores.archive.whole_log import WholeLog
from stores.feast.feature_store import Features
from stores.kafka.batch_headers import Run, lost, read_runs
from stores.kafka.log_check import WAY_OUT, LogIdentity
from stores.kafka.topics import GROUP, committed_offsets
from stores.redis.connection import reachable
from stores.redis.published import REBUILD
from stores.redis.shard_log import ShardLogs
from stream.fold.shard_fold import tail_of
from verify import verify
from verify.log import Expected

WAIT_S = 60.0
"""Seconds that the comparison of the new generation waits for a store."""

TRIES, PAUSE_S = 30, 1.0
"""Tries to write the new generation while a store does not answer, and seconds between two of them."""


@dataclass(frozen=True)
class Rebuilt:
    """The result of a rebuild.

    Attributes:
        generation: the generation that is live now.
        previous: the one that can be switched back to; None where the live state was lost.
        users: profiles written.
        events: records of the log that were folded.
        seconds: that it took.
        closed_s: seconds for which no worker could fold.
        dropped: older generations that were deleted.
        run_is_live: False if no run is live, because Redis has lost that too.
        partitions: of the log, where there are more than before; None where their number is the same.
    """

    generation: str
    previous: str | None
    users: int
    events: int
    seconds: float
    closed_s: float
    dropped: list[str]
    run_is_live: bool
    partitions: int | None = None


def rebuild(settings: Settings, *, open_log: OpenLog, progress: Progress) -> Rebuilt:
    """Fold archive and log into a new generation of the state, and put it live.

    Where the settings say more partitions than the log has, they are added first (`lifecycle.partitions`).

    Args:
        settings: all settings.
        open_log: opens archive and log.
        progress: told of each step.

    Raises:
        ArchiveError: if the archive is damaged, or that of another log.
        DataError: if the data folder does not hold the ratings that the state began with, or a snapshot is damaged.
        LifecycleError: if Redis has no room for a second state, the new one differs from archive and log, or the number
            of partitions cannot be changed so.
        LockTaken: if a publish, rollback, reset or adopt is at work.
        LockLost: if the lock was lost; nothing was switched.
        LogError: if the log is not the state's own, or does not hold every event.
        Unreachable: if a store does not answer.
    """
    began = time.monotonic()
    with lock(settings, "rebuild", progress) as held:
        # Under the lock: `reelstream erase` takes it too, and leaves users out of the ratings.
        progress("reading the data set", 0.0)
        ratings = readers.load(settings)
        grown = grow(settings, held, progress)
        log = open_log()
        try:
            rebuilt = _Rebuild(settings, ratings, log, held, progress, grown)()
        finally:
            log.close()
    return replace(rebuilt, seconds=round(time.monotonic() - began, 1))


class _Rebuild:
    """One rebuild, under the lock."""

    def __init__(
        self, settings: Settings, ratings: Ratings, log: WholeLog, held: PublishLock, progress: Progress, grown: bool
    ) -> None:
        self._settings, self._ratings, self._log = settings, ratings, log
        self._held, self._progress, self._grown = held, progress, grown
        self._live = StateStores.live(settings)
        self._generations = Generations(self._live.profiles.client)
        log.require_epochs(self._generations.live().epochs)

    def __call__(self) -> Rebuilt:
        """Rebuild."""
        dropped = drop_unused(self._settings, self._generations, self._held, self._progress)
        complete = self._require_own_data()
        _require_room(self._live)
        name = self._generations.begin()
        state = StateStores.of(self._settings, name, self._live.profiles.client)
        try:
            features = Features(self._settings, self._ratings.schema, name)
            users, events = self._write(state, features)
            self._generations.announce(name, self._held)  # now, so that readers open it while it is verified
            self._verify(name)
        except BaseException:
            with suppress(StoreError):
                self._generations.announce(None, self._held)
                delete_generation(self._settings, name)
            raise
        switching = Switching(
            self._settings,
            state,
            self._live,
            keep=complete and not self._grown,
            drift_goes_on=complete and not self._grown and self._same_counts(),
            closed=self._grown,
        )
        catching = CatchUp(self._settings, state, features, self._log)
        switched = switching(catching, self._held, self._progress)
        self._archive_history()
        if self._live.published.resetting() == REBUILD:
            self._live.published.end_reset()
        dropped += drop_unused(self._settings, self._generations, self._held, self._progress)
        rebuilt = _rebuilt(switched, users, events, dropped, state.published.run() is not None)
        return replace(rebuilt, partitions=self._settings.kafka.partitions if self._grown else None)

    def _require_own_data(self) -> bool:
        """Require that archive and log are those of the live state; True if that is complete, False if it is lost."""
        settings, live = self._settings, self._live
        before = live.published.snapshot()
        if before is not None and before.data_hash != readers.data_hash(self._ratings):
            raise DataError(
                f"the state was built from other data than {settings.data_folder} holds; set REELSTREAM_DATA__FOLDER, "
                "or ML1M_DIR for MovieLens-1M, to the folder with that data"
            )
        resetting = live.published.resetting()
        if resetting not in (None, REBUILD):
            raise DataError(
                "a `reelstream publish --reset` was interrupted and the live state is partly deleted; "
                "run `reelstream publish --reset` again"
            )
        ensure_topics(settings.kafka)
        if before is None or resetting is not None:
            return False
        require_own_log(settings, live.profiles, before.base, fold_again=True)
        return None not in live.profiles.readable_applied()

    def _archive_history(self) -> None:
        """Have the history in the archive, if there is one, as the description that the new generation is of reads it.

        A process that died before is made up for by `reelstream backup`, which needs it.
        """
        found, data_hash = archive_manifest.read(self._settings.archive_folder), readers.data_hash(self._ratings)
        if found is not None and found.history is not None and found.history.data_hash == data_hash:
            archive_history(self._settings, self._ratings, data_hash)

    def _same_counts(self) -> bool:
        """True if the live state holds the counts that are declared."""
        try:
            self._live.published.require_state_version()
        except OtherVersion:
            return False
        return True

    def _write(self, state: StateStores, features: Features) -> tuple[int, int]:
        """Write the generation as far as the live one is folded; profiles, and records of the log, in it."""
        settings, ratings = self._settings, self._ratings
        self._progress("folding the archive", 0.0)
        beginning, bounds = beginning_of_archive(settings, ratings)
        places = split(ratings, settings.data).offline
        description = snapshot.write_archive(ratings, places, beginning, state.published)
        expected = Expected(ratings.schema, beginning, self._log, settings.stream.max_future_s)
        ends = self._ends()
        total = max(1, sum(ends.values()))
        expected.fold_to(ends, lambda events: self._progress("folding the log", events / total))
        accepted = {shard: each.lost for shard, each in ShardLogs(self._live.profiles).positions().items()}
        self._require_no_loss(expected, accepted)
        self._write_shards(expected, bounds[0].log, accepted, LiveState(state.profiles, state.published, features))
        state.published.set_snapshot(description)
        return len(expected.userids()), expected.events + sum(sum(dead.values()) for dead in expected.dead)

    def _write_shards(
        self, expected: Expected, log: LogIdentity, accepted: Mapping[int, tuple[tuple[int, int], ...]], live: LiveState
    ) -> None:
        reached = expected.reached
        tails = {shard: tail_of(record) for shard, record in expected.last.items()}
        starts = [
            replace(start, tail=tails.get(shard), lost=accepted.get(shard, ()))
            for shard, start in enumerate(reached.starts(log))
        ]
        self._patiently(lambda: snapshot.write_state(reached.shards, starts, live, self._telling("writing the state")))

    def _patiently(self, step: Callable[[], None]) -> None:
        """Do a step that may be done twice, again while a store does not answer; what was folded need not be lost."""
        for _ in range(TRIES):
            try:
                step()
                return
            except Unreachable:
                self._progress("waiting for Redis", 0.0)
                time.sleep(PAUSE_S)
        step()

    def _telling(self, words: str) -> Callable[[float], None]:
        """Progress of a step that may take long; the lock must still be held."""

        def tell(share: float) -> None:
            self._held.check()
            self._progress(words, share)

        return tell

    def _ends(self) -> dict[int, int]:
        """By partition, the offset up to before which records are folded here, whose dead letters are filed already.

        That is where the live state stands; where that is lost, what its workers have acknowledged; in either case, as
        far as the log was trimmed, which happens only to records whose dead letters are filed.
        """
        applied = self._live.profiles.readable_applied()
        begins, ends, acknowledged = self._log.begins_in_kafka(), self._log.ends(), dict[int, int]()
        if None in applied:
            acknowledged = committed_offsets(self._settings.kafka, GROUP)
        return {
            shard: max(
                begins.get(shard, 0),
                min(ends.get(shard, 0), acknowledged.get(shard, 0) if offset is None else offset + 1),
            )
            for shard, offset in enumerate(applied)
        }

    def _require_no_loss(self, expected: Expected, accepted: Mapping[int, tuple[tuple[int, int], ...]]) -> None:
        """Require that the log held every event that was folded, but for losses that were accepted.

        Nothing is lost of what the archive alone holds: the archiver has looked at that.
        """
        for shard, holes in expected.holes.items():
            known = [Run(first, end, False) for first, end in accepted.get(shard, ())]
            runs = [*read_runs(self._settings.kafka, shard, holes[0][0], holes[-1][1]), *known]
            runs.sort(key=lambda run: run.first)
            # Read after the log, which may be trimmed meanwhile.
            begin = self._log.begins_in_kafka()[shard]
            for first, end in holes:
                if end > begin and (missing := lost((max(first, begin), end), runs)):
                    raise LogError(
                        f"partition {shard}: the log lacks the events at offsets {missing[0]} to {missing[1] - 1}; "
                        f"{WAY_OUT}"
                    )

    def _verify(self, name: str) -> None:
        """Compare the new generation with archive and log, folded again."""
        # The oracle is left out: it knows the counts of this release alone, and reads what is logged for the live one.
        verified = verify(self._settings, wait_s=WAIT_S, sample=0, live=False, generation=name, progress=self._progress)
        if verified.differences:
            first = next(iter(verified.differing.values()))
            raise LifecycleError(
                f"the new state differs from archive and log in {verified.differences} places ({first}); the live "
                "state is untouched; report this, and see the logs of Redis"
            )


def _rebuilt(switched: Switched, users: int, events: int, dropped: list[str], run_is_live: bool) -> Rebuilt:
    return Rebuilt(
        generation=switched.generation,
        previous=switched.previous,
        users=users,
        events=events + switched.events,
        seconds=0.0,
        closed_s=round(switched.closed_s, 3),
        dropped=dropped,
        run_is_live=run_is_live,
    )


def _require_room(live: StateStores) -> None:
    """Require that Redis has room for a second state.

    Raises:
        LifecycleError: if it has not; at its limit, it would refuse what workers write to the live one.
        Unreachable: if Redis does not answer.
    """
    with reachable():
        memory = cast("dict[str, Any]", live.profiles.client.info("memory"))
    used, limit = int(memory["used_memory"]), int(memory.get("maxmemory", 0))
    if limit and 2 * used > limit:
        raise LifecycleError(
            f"Redis holds {used >> 20} of {limit >> 20} MiB, which leaves no room for a second state; raise "
            "redis.max_memory_mb, or delete the previous state with `reelstream rebuild --drop`"
        )
