"""Events a second that workers fold from a full log with all effects, with drift monitoring and without it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import requests

import servers
from bench.components import Components, spent
from producers import Pace, Recording, replay
from settings import Settings
from stores import DriftStore, StateStores, Unreachable, connect
from verify import verify

Reset = Callable[[], None]
"""Deletes the live state and starts over, with the workers stopped."""

PATIENCE_S = 600.0

WARM_UP_SHARE = 0.1
"""Share of the log in which workers that have just started are not measured."""


@dataclass(frozen=True)
class CatchUp:
    """A catch-up.

    Attributes:
        events_per_s: events a second until all are folded, from when every worker folds.
        cpu_us: microseconds of processor time for an event, until drift has counted it too, by component.
        started_s: seconds from the start of the workers until the first events were folded.
    """

    events_per_s: float
    cpu_us: Mapping[str, float]
    started_s: float

    @property
    def of_workers(self) -> float:
        """The workers' part of `cpu_us`."""
        return sum(us for name, us in self.cpu_us.items() if name.startswith("worker-"))


@dataclass(frozen=True)
class Look:
    """A moment of a catch-up.

    Attributes:
        at: when, of `time.monotonic`.
        folded: the events folded by then.
        cpu_s: the processor time spent, in seconds, by component.
        all_fold: whether each worker has partitions by then.
    """

    at: float
    folded: int
    cpu_s: Mapping[str, float]
    all_fold: bool = True


def throughput(
    settings: Settings,
    recording: Recording,
    workers: Sequence[int],
    rounds: int,
    reset: Reset,
    progress: Callable[[str, float], None],
) -> dict[str, Any]:
    """Catch-ups with drift off and on and with different numbers of workers, in turn, each followed by `verify`.

    Afterwards workers run as the settings say.

    Args:
        settings: all settings.
        recording: the events of the log.
        workers: numbers of workers; the first is the baseline.
        rounds: catch-ups of each kind, of which the median counts.
        reset: begins with an empty log and the published state.
        progress: told of the share that is done.

    Returns:
        By kind (`1 worker, drift off`), events a second, ratio to the first kind, and processor time for an event, of
        the workers and of each component; the number of differences that `verify` found.

    Raises:
        Unreachable: if the stream does not catch up.
    """
    kinds = [(number, drift) for number in workers for drift in (False, True)]
    found: dict[tuple[int, bool], list[CatchUp]] = {kind: [] for kind in kinds}
    differences = 0
    try:
        for done in range(rounds * len(kinds)):
            number, drift = kind = kinds[done % len(kinds)]
            progress(f"catching up: {words(number, drift)}", done / (rounds * len(kinds)))
            found[kind].append(catch_up(settings, recording, drift, reset, workers=number))
            differences += verify(settings, wait_s=PATIENCE_S, progress=lambda what, share: None).differences
    finally:
        servers.stop(settings, ["workers"])
        servers.up(settings, workers=settings.stream.workers)
    baseline = median(each.events_per_s for each in found[kinds[0]])
    figures: dict[str, Any] = {
        words(number, drift): {
            "events_per_s": round(rate := median(each.events_per_s for each in each_of)),
            "ratio": round(rate / baseline, 2),
            "cpu_us_per_event": round(median(each.of_workers for each in each_of)),
            "cpu_us_of": dict(sorted(each_of, key=lambda each: each.of_workers)[len(each_of) // 2].cpu_us),
            "started_s": round(median(each.started_s for each in each_of), 2),
        }
        for (number, drift), each_of in found.items()
    }
    return {"events": len(recording.events), "rounds": rounds, "kinds": figures, "differences": differences}


def words(workers: int, drift: bool) -> str:
    """The name of a kind of catch-up."""
    return f"{workers} worker{'s' if workers > 1 else ''}, drift {'on' if drift else 'off'}"


def catch_up(settings: Settings, recording: Recording, drift: bool, reset: Reset, *, workers: int = 1) -> CatchUp:
    """Have workers fold a log that is there in full."""
    servers.stop(settings, ["workers"])
    reset()
    send(settings, recording, Pace.MAX, 1.0)
    began = time.monotonic()
    servers.up(
        settings.model_copy(update={"drift": settings.drift.model_copy(update={"enabled": drift})}),
        workers=workers,
        only=["workers"],
    )
    components = Components(settings)
    # Of the workers, which were not there, everything counts.
    before = {name: cpu_s for name, cpu_s in components.cpu_s().items() if not name.startswith("worker-")}
    all_of_it, looks = len(recording.events), [Look(began, 0, before, all_fold=False)]

    def all_folded() -> bool:
        all_fold = looks[-1].all_fold or all(has_partitions(settings, worker) for worker in range(workers))
        looks.append(Look(time.monotonic(), folded(settings), components.cpu_s(), all_fold))
        return looks[-1].folded >= all_of_it

    until(all_folded)
    if drift:
        until(lambda: counted(settings) >= all_of_it)
    started = next(look for look in looks if look.folded)
    first, last = first_warm(looks, all_of_it), looks[-1]
    done = last.folded - first.folded
    cpu_us = spent(first.cpu_s, components.cpu_s(), 1e6 / done)
    return CatchUp(done / (last.at - first.at), cpu_us, started.at - began)


def first_warm(looks: Sequence[Look], events: int) -> Look:
    """The look from which on workers are measured: a part is folded, and each worker has partitions.

    Kafka takes a second to give some to a worker that joins another, in which neither folds. The last look but one
    where everything was folded before that.
    """
    warm = (look for look in looks[:-1] if look.folded >= WARM_UP_SHARE * events and look.all_fold)
    return next(warm, looks[-2])


def has_partitions(settings: Settings, worker: int) -> bool:
    """Tell whether a worker of this machine has partitions."""
    url = f"http://{settings.stream.host}:{settings.stream.metrics_port + worker}/health"
    try:
        return bool(requests.get(url, timeout=5).json()["partitions"])
    except requests.RequestException:
        return False


def send(settings: Settings, recording: Recording, pace: Pace, value: float) -> None:
    """Append a recording to the log."""
    replay(
        settings.kafka,
        recording,
        pace=pace,
        value=value,
        stopping=threading.Event(),
        progress=lambda report: None,
    )


def folded(settings: Settings) -> int:
    """Events that are folded, with all effects."""
    profiles = StateStores.live(settings).profiles
    return sum(0 if offset is None else offset + 1 for offset in profiles.visible_offsets())


def counted(settings: Settings) -> int:
    """Events that drift has counted."""
    return sum(counts.events for counts in DriftStore(connect(settings.redis)).counts().values())


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds.

    Raises:
        Unreachable: if it does not in time.
    """
    end = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > end:
            raise Unreachable("the stream did not catch up; see `reelstream status`")
        time.sleep(0.02)
