"""More partitions for the log, before a generation of the state is folded that has as many shards.

Partitions are added to the topic, and records stay where they are: up to one offset of each partition they are spread
over as many as there were (`stores.kafka.epochs`). The steps, while lists are made from the live state:

    1. refuse     the API appends no event for some seconds
    2. wait       until the live generation holds every event of the log
    3. close      the live generation, for a few seconds; the epoch ends where it stands
    4. note       the epoch, in the manifest of the archive
    5. add        the partitions to the topic
    6. grow       one key says by how many partitions events are appended; in the same step the live generation, which
                  has fewer shards, is closed for good, and the API appends again

A process that dies before the last step leaves the live state as it was: it is open again within seconds, and events
are appended as before. The epoch is decided anew by the next run. One that dies later leaves it to the next run to fold
the new generation: events are appended meanwhile, and lists are made from the state as it was.

What somebody else appends by the former number after the epoch has ended becomes a dead letter, and `reelstream dead
resend` puts it where it belongs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress

from lifecycle.errors import LifecycleError
from settings import Settings
from stores import Generations, Log, PublishLock, StateStores, StoreError
from stores.archive.archive import Archive
from stores.archive.manifest import Manifest
from stores.errors import ArchiveError
from stores.kafka.epochs import Epoch, Epochs
from stores.kafka.log_probe import LogProbe
from stores.kafka.topics import add_partitions, partitions_of_topic

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0 to 1."""

CAUGHT_UP_S = 60.0
"""Seconds that the stream gets to fold what waits, before the API refuses events."""

REFUSED_S = 30.0
"""Seconds for which the API refuses events at most, unless it is given more partitions before."""

FOLLOWED_S = 1.0
"""Seconds within which every API process has noticed, and Kafka has acknowledged what was being sent."""

DRAINED_S = 15.0
"""Seconds that the stream gets to fold the last events."""

CLOSED_S = 10.0
"""Seconds for which the live generation is closed, unless that is made for good."""

KEPT_S = 1.2
"""Seconds after which Redis has written a change to its file, which it does every second."""

PAUSE_S = 0.05


def grow(settings: Settings, lock: PublishLock, progress: Progress) -> bool:
    """Give the log as many partitions as the settings say, where it has fewer; or finish what a run began that died.

    Args:
        settings: all settings.
        lock: the lock of publishing, held.
        progress: told of each step.

    Returns:
        True if nobody folds into the live generation any more, so that another must go live.

    Raises:
        ArchiveError: if the archive is damaged, or that of another log.
        LifecycleError: if the log or the state has more partitions than the settings say, or the stream does not catch
            up.
        LockLost: if the lock was lost, or the last events took too long; the state is as it was.
        Unreachable: if a store does not answer.
    """
    return _Growth(settings, lock, progress)()


def ends_of_epoch(applied: Sequence[int | None], held: Mapping[int, int]) -> tuple[int, ...]:
    """The offsets at which an epoch ends, where nobody folds any more.

    Args:
        applied: by shard, the last offset that is folded; None where the state is lost.
        held: by partition, the offset up to before which the state has held the log before.

    Raises:
        LifecycleError: if Redis has lost some of it since. The epoch must not end there: the records behind its end
            would be taken for those of the next one.

    >>> ends_of_epoch([9, -1], {0: 8, 1: 0})
    (10, 0)
    """
    ends = tuple((-1 if offset is None else offset) + 1 for offset in applied)
    if None in applied or any(end < held.get(shard, 0) for shard, end in enumerate(ends)):
        raise LifecycleError("Redis lost a part of the state meanwhile; run `reelstream rebuild` again")
    return ends


class _Growth:
    """One change of the number of partitions, under the lock."""

    def __init__(self, settings: Settings, lock: PublishLock, progress: Progress) -> None:
        self._settings, self._lock, self._progress = settings, lock, progress
        self._archive = Archive(settings.archive_folder)
        client = StateStores.live(settings).profiles.client
        self._client, self._generations = client, Generations(client)
        self._wanted = settings.kafka.partitions

    def __call__(self) -> bool:
        """Grow, as far as that is not done."""
        live, actual = self._generations.live(), partitions_of_topic(self._settings.kafka)
        if not actual:
            return False  # the topic is made by those who need it
        manifest = self._archive.manifest() or Manifest()
        manifest.require_epochs(live.epochs)
        snapshot = StateStores.live(self._settings, self._client).published.snapshot()
        has_state = snapshot is not None
        # By how many partitions events are appended: as noted, else as the archive knows it, else as the log has.
        now = live.append_over(0) or (manifest.partitions if has_state else None) or actual
        if now > self._wanted or actual > max(now, self._wanted):
            raise LifecycleError(
                f"kafka.partitions is {self._wanted}, but the log has {max(now, actual)}, and a log cannot have fewer "
                "again; correct the setting"
            )
        if live.appending is not None:
            if live.appending != self._wanted:
                raise LifecycleError(
                    f"a rebuild for {live.appending} partitions was interrupted; set kafka.partitions to "
                    f"{live.appending} and run `reelstream rebuild` again"
                )
            self._generations.accept_events()
            return True
        if snapshot is None:
            return self._finish_without_state(manifest, actual)
        if now == self._wanted:
            return False
        if snapshot.base is not None:
            raise LifecycleError(
                "the state goes back to one that `reelstream adopt` saved, whose counts cannot be divided anew; set "
                f"kafka.partitions to {now}"
            )
        self._generations.note_partitions(now, self._lock)
        self._grow(now, manifest.epochs[: live.epochs])
        return True

    def _finish_without_state(self, manifest: Manifest, actual: int) -> bool:
        """Add the partitions that the archive knows of already, and note them again; with the state, all is lost."""
        if actual != self._wanted:
            if manifest.partitions != self._wanted:
                raise LifecycleError(
                    f"there is no live state, and the log has {actual} partitions; set kafka.partitions to {actual} "
                    "and run `reelstream rebuild` or `reelstream publish` first"
                )
            add_partitions(self._settings.kafka)
        if manifest.partitions == self._wanted:
            self._generations.note_log(self._wanted, len(manifest.epochs), self._lock)
        return False

    def _grow(self, now: int, ended: Sequence[Epoch]) -> None:
        state = StateStores.live(self._settings, self._client)
        applied = state.profiles.readable_applied()
        if None in applied:
            raise LifecycleError(
                f"the live state is incomplete; set kafka.partitions to {now} and run `reelstream rebuild` first"
            )
        self._wait(state, CAUGHT_UP_S)
        self._progress("ending the epoch", 0.0)
        self._generations.refuse_events(REFUSED_S)  # 1. refuse
        try:
            time.sleep(FOLLOWED_S)
            held = self._wait(state, DRAINED_S)  # 2. wait
            if not self._generations.refuse_events(REFUSED_S, still=True):
                raise LifecycleError("the last events took too long to fold; run it again; the live state is untouched")
            state.profiles.close(CLOSED_S)  # 3. close
            ends = ends_of_epoch(state.profiles.applied(), held)
            epochs = Epochs(self._wanted, [*ended, Epoch(partitions=now, ends=ends)])
            self._note(epochs)  # 4. note
            add_partitions(self._settings.kafka)  # 5. add
            self._generations.grow(self._wanted, len(epochs.ended), self._lock, state.profiles.closed_keys)  # 6. grow
        except BaseException:
            with suppress(StoreError):
                if self._generations.live().appending is None:
                    state.profiles.reopen()
                    self._generations.accept_events()
            raise
        time.sleep(KEPT_S)
        if self._generations.live().appending is None:
            raise LifecycleError("Redis lost the new number of partitions; run it again; the live state is untouched")
        self._generations.accept_events()

    def _wait(self, state: StateStores, seconds: float) -> dict[int, int]:
        """Wait until the state holds all that the log holds now, or nearly so where others append all the time.

        Returns:
            By partition, the offset up to before which the state holds the log.

        Raises:
            LifecycleError: if it does not in time.
        """
        with closing(Log(self._settings.kafka)) as log:
            ends = log.ends()
        until = time.monotonic() + seconds
        while True:
            applied = [-1 if offset is None else offset for offset in state.profiles.applied()]
            waiting = sum(max(0, ends.get(shard, 0) - 1 - offset) for shard, offset in enumerate(applied))
            if not waiting:
                return ends
            if time.monotonic() > until:
                raise LifecycleError(
                    f"the stream is {waiting} events behind after {seconds:.0f} s; see `reelstream status`, and run "
                    "it again once the workers have caught up; the live state is untouched"
                )
            self._progress(f"waiting for the stream, {waiting} events behind", 0.0)
            self._lock.check()
            time.sleep(PAUSE_S)

    def _note(self, epochs: Epochs) -> None:
        probe = LogProbe(self._settings.kafka, self._settings.log_heads)
        try:
            log = probe.bounds()[0].log
        finally:
            probe.close()
        with self._archive.locked():
            manifest = self._archive.manifest() or Manifest()
            if manifest.log not in (None, log):
                raise ArchiveError(
                    f"the archive {self._archive.folder} holds another log than Kafka; see docs/archive.md"
                )
            self._archive.write_manifest(manifest.grown(log, epochs))
