"""False alarms of the detectors that watch a sequence event by event: ADWIN and KSWIN.

They run over interleaved blocks at confidences at which they do raise alarms. The logarithm of the rate is linear in
that of the confidence, for both bounds are exponential, and the line is extended to the confidence in use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bench.sample import Ints, Sample
from drift.change import ALPHA, DELTA, KEPT, RECENT, SEED

Doubles = npt.NDArray[np.float64]

LABELS, LOSSES, SCORED = 1_000_000, 500_000, 20_000
"""Events over which ADWIN watches the label and the log loss, and KSWIN the score."""

GAP = 20.0
"""Mean events of others between two of a block."""


def change_alarms(drawn: Sample, seed: int, progress: Callable[[str, float], None]) -> dict[str, Any]:
    """For each sequence that is watched event by event, its rate of alarms at the confidence in use."""
    like = np.clip(drawn.scored.values["like"].astype(np.float64), 1e-7, 1 - 1e-7)
    loss = -np.log(np.where(drawn.scored_liked, like, 1 - like))
    label, score = drawn.liked.astype(np.float64), drawn.scored.values["score"].astype(np.float64)
    found = {}
    watched: tuple[tuple[str, Literal["adwin", "kswin"], Doubles, Ints, int, tuple[float, ...], float], ...] = (
        ("label", "adwin", label, drawn.block, LABELS, (1e-2, 1e-3, 1e-4, 1e-5), DELTA),
        ("logloss", "adwin", loss, drawn.scored.block, LOSSES, (1e-2, 1e-3, 1e-4, 1e-5), DELTA),
        ("score", "kswin", score, drawn.scored.block, SCORED, (1e-3, 1e-4, 1e-5), ALPHA),
    )
    for name, detector, values, block, count, confidences, used in watched:
        progress(f"{detector} on {name}", 0.0)
        stream = _interleaved(values, block, count, seed)
        alarms = [_alarms(detector, stream, confidence) for confidence in confidences]
        points = [(np.log10(c), np.log10(n / count)) for c, n in zip(confidences, alarms, strict=True) if n]
        log_confidence, log_rate = np.array(points or [(0.0, -np.log10(count))]).T
        slope, offset = np.polyfit(log_confidence, log_rate, 1) if len(points) > 1 else (0.5, log_rate[0])
        found[name] = {
            "detector": detector,
            "events": count,
            "alarms": {f"{confidence:g}": n for confidence, n in zip(confidences, alarms, strict=True)},
            "slope": float(slope),
            "confidence": used,
            "log_rate": float(slope * np.log10(used) + offset),
        }
    return found


def _alarms(detector: Literal["adwin", "kswin"], stream: Doubles, confidence: float) -> int:
    from river.drift import ADWIN, KSWIN

    river: Any = (
        ADWIN(delta=confidence)  # type: ignore[no-untyped-call]
        if detector == "adwin"
        else KSWIN(alpha=confidence, window_size=KEPT, stat_size=RECENT, seed=SEED)
    )
    alarms = 0
    for value in stream.tolist():
        river.update(value)
        alarms += bool(river.drift_detected)
    return alarms


def _interleaved(values: npt.NDArray[np.floating], block: Ints, count: int, seed: int) -> Doubles:
    """Values of blocks drawn at random, interleaved."""
    rng = np.random.default_rng(seed)
    begins = np.flatnonzero(np.r_[True, np.diff(block) != 0])
    size = np.diff(np.append(begins, len(block)))
    chosen = rng.integers(0, len(begins), round(1.05 * count / size.mean()) + 1)
    of = np.repeat(np.arange(len(chosen)), size[chosen])
    within = np.arange(len(of)) - np.repeat(np.cumsum(size[chosen]) - size[chosen], size[chosen])
    gaps = rng.exponential(GAP, len(of)).cumsum()
    first = np.repeat(gaps[np.cumsum(size[chosen]) - size[chosen]], size[chosen])
    when = (rng.random(len(chosen)) * len(of))[of] + gaps - first
    order = np.argsort(when)
    stream: Doubles = values[(begins[chosen][of] + within)[order]][:count].astype(np.float64)
    return stream
