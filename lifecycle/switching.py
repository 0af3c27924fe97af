"""Putting a generation of the state live, in the place of the one that is.

The steps; a process that dies at any of them leaves the live generation as it is:

    1. announce     the API opens the generation beforehand
    2. catch up     until the generation is nearly as far as the live one, which folds on
    3. close        the live generation, for a few seconds: workers that fold wait
    4. fold         the rest, so that both stand at the same offsets
    5. switch       one key names the live generation; in the same step the other one is closed for good

Workers and the API then go on with the new one. The dead letters and the ranker's inputs of all records up to there are
logged already, and workers log those of the records that follow.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from lifecycle.catch_up import CatchUp
from lifecycle.errors import LifecycleError
from offline.state.lock import lock
from offline.state.own_log import require_own_log
from offline.state.snapshot import delete_generation
from settings import Settings
from stores import DriftStore, Generations, PublishLock, StateStores, StoreError
from stores.archive.whole_log import WholeLog
from stores.feast.feature_store import Features
from stores.kafka.log import end_of

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0 to 1."""

OpenLog = Callable[[], WholeLog]
"""Opens archive and log."""

NEAR_S = 1.0
"""Seconds within which a generation follows the live one when that is closed."""

OPENED_S = 3.0
"""Seconds that the API gets at least to open a generation before the switch."""

CLOSED_S = 10.0
"""Seconds for which the live generation is closed, unless the switch makes it for good."""

KEPT_S = 1.2
"""Seconds after which Redis has written the switch to its file, which it does every second."""


@dataclass(frozen=True)
class Switched:
    """The result of a switch.

    Attributes:
        generation: the generation that is live now.
        previous: the one that can be switched back to; None where there is none.
        events: records folded to catch up.
        closed_s: seconds for which no worker could fold.
    """

    generation: str
    previous: str | None
    events: int
    closed_s: float


@dataclass(frozen=True)
class Switching:
    """Settings and generations of a switch, made under the lock.

    Attributes:
        settings: all settings.
        state: the generation that goes live.
        live: the one that is live.
        keep: whether the live one can be switched back to.
        drift_goes_on: whether the feature log goes on where it stands, so that drift need not begin again.
        closed: whether the live one is closed for good already, as the log has more partitions than it has shards.
    """

    settings: Settings
    state: StateStores
    live: StateStores
    keep: bool
    drift_goes_on: bool
    closed: bool = False

    def __call__(self, catching: CatchUp, held: PublishLock, progress: Progress) -> Switched:
        """Switch.

        Raises:
            LockLost: if the lock was lost, or the rest took too long to fold; nothing is switched.
            LogError: if the log lacks records.
            Unreachable: if a store does not answer.
        """
        generations = Generations(self.live.profiles.client)
        announced = time.monotonic()
        generations.announce(self.state.generation, held)  # 1. announce
        events = self._catch_up(catching, progress)  # 2. catch up
        catching.publish_items()
        time.sleep(max(0.0, announced + OPENED_S - time.monotonic()))
        events += self._catch_up(catching, progress)
        progress("switching", 0.0)
        closing = time.monotonic()
        if not self.closed:
            self.live.profiles.close(CLOSED_S)  # 3. close
        try:
            events += catching.fold_to(self._live_ends())  # 4. fold
            if not self.drift_goes_on:
                kafka = self.settings.kafka
                DriftStore(self.live.profiles.client).start_over(end_of(kafka, kafka.features_topic) - 1)
            previous = self.live.generation if self.keep else None
            generations.switch(self.state.generation, previous, held, self.live.profiles.closed_keys)  # 5. switch
        except BaseException:
            with suppress(StoreError):
                if not self.closed and generations.live().name == self.live.generation:
                    self.live.profiles.reopen()
            raise
        closed_s = time.monotonic() - closing
        self._require_kept(generations)
        return Switched(self.state.generation, previous, events, closed_s)

    def _catch_up(self, catching: CatchUp, progress: Progress) -> int:
        """Fold until little is left; the records that were folded."""
        events = 0
        while True:
            began, ends = time.monotonic(), self._live_ends()
            waiting = sum(max(0, ends[shard] - at) for shard, at in catching.next_offsets().items() if shard in ends)
            progress("catching up", 0.0)
            events += catching.fold_to(ends, _share_of(max(1, waiting), progress))
            if time.monotonic() - began < NEAR_S:
                return events

    def _live_ends(self) -> dict[int, int]:
        """Offset after the last record that the live generation holds, for the shards that it has."""
        applied = self.live.profiles.readable_applied()
        return {shard: offset + 1 for shard, offset in enumerate(applied) if offset is not None}

    def _require_kept(self, generations: Generations) -> None:
        """Require that Redis still knows of the switch once it has written it to its file."""
        time.sleep(KEPT_S)
        if generations.live().name != self.state.generation:
            raise LifecycleError("Redis lost the switch, and the state is live that was before; run it again")


def _share_of(waiting: int, progress: Progress) -> Callable[[int], None]:
    """Progress of catching up with so many records."""
    return lambda folded: progress("catching up", min(1.0, folded / waiting))


def back(settings: Settings, *, open_log: OpenLog, progress: Progress) -> Switched:
    """Put the previous generation live again, once it has caught up.

    Raises:
        LifecycleError: if there is none.
        OtherVersion: if it was written with other counts than are declared.
        LockTaken: if a publish, rebuild or reset is at work.
        LogError: if the log is not the one that it was folded from, or lacks records.
        Unreachable: if a store does not answer.
    """
    with lock(settings, "rebuild --back", progress) as held:
        live = StateStores.live(settings)
        previous = Generations(live.profiles.client).live().previous
        if previous is None:
            raise LifecycleError("there is no previous state to go back to; `reelstream rebuild` keeps the one before")
        state = StateStores.of(settings, previous, live.profiles.client)
        state.published.require_state_version()
        snapshot = state.published.snapshot()
        require_own_log(settings, state.profiles, snapshot.base if snapshot else None)
        state.profiles.reopen()
        log = open_log()
        try:
            catching = CatchUp(settings, state, Features(settings, state.profiles.schema, previous), log)
            return Switching(settings, state, live, keep=True, drift_goes_on=True)(catching, held, progress)
        finally:
            log.close()


def drop(settings: Settings, *, progress: Progress) -> list[str]:
    """Delete the previous generation, and what a rebuild that died has left; their names.

    Raises:
        LockTaken: if a publish, rebuild or reset is at work.
        Unreachable: if Redis does not answer.
    """
    generations = Generations(StateStores.live(settings).profiles.client)
    with lock(settings, "rebuild --drop", progress) as held:
        if generations.live().previous is not None:
            generations.without_previous(held)
        return drop_unused(settings, generations, held, progress)


def drop_unused(settings: Settings, generations: Generations, held: PublishLock, progress: Progress) -> list[str]:
    """Delete the generations that are neither live nor can be switched back to; their names."""
    if generations.live().next is not None:
        generations.announce(None, held)
    unused = generations.unused()
    for place, name in enumerate(unused):
        progress("deleting an older state", place / len(unused))
        held.check()
        delete_generation(settings, name)
    return unused
