"""False alarms of windows: PSI, and values missing or out of range.

Strides of whole blocks are drawn at random; a window is the sum of the last few, as the monitor has them. As many weeks
of checks are made as STRIDES allow. Alarms are counted for the budget and for multiples of it up to 10,000. At the
budget itself they are too few to count, so the rate there follows from a line through the logarithms of multiple and
rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.sample import Ints, Sample
from drift import Reference
from drift.budget import WEEK_S
from drift.checks import STRAY, Check, Checks
from drift.events import Events, Scored
from drift.histogram import MISSING
from drift.layout import Layout
from drift.monitor import Plan
from drift.series import SCORES, Series
from drift.thresholds import BLOCK, ENOUGH, FEWEST, LONGEST

Doubles = npt.NDArray[np.float64]

STRIDES = 484_000
"""Most strides of a rate: a week of 200 events a second."""

AT_ONCE = 2_000
"""Strides drawn at once."""

TIMES = (1.0, 1e1, 1e2, 1e3, 1e4)
"""Multiples of the budget at which alarms are counted too."""

FEWEST_ALARMS = 5
"""Alarms below which a count is no rate."""

LINE = 3
"""Multiples, the lowest that have a rate, through which the line is laid: high ones raise an alarm at every check."""


class DrawnWindows:
    """Draws windows of one half, and checks them against the other."""

    def __init__(self, series: Series, reference: Reference, drawn: Sample, plan: Plan) -> None:
        self._plan, self._layout = plan, Layout(series, reference)
        self._checks = Checks(self._layout)
        n, m = len(drawn.block), len(drawn.scored.block)
        events = Events(0, np.arange(n), np.zeros(n, np.int64), drawn.liked, drawn.rows, 0.0)
        exact = self._layout.places(events, Scored.none())
        scores = np.full((m, exact.shape[1]), -1, dtype=np.int64)
        for number, name in enumerate(SCORES, series.exact):
            begin = int(self._layout.begins[number])
            scores[:, number] = self._layout.series[name].place(drawn.scored.values[name]) + begin
        self._known = np.array([sum(histogram.counts) for histogram in self._layout.series.values()], dtype=np.float64)
        self._exact = _by_block(drawn.block, exact, self._layout.total)
        self._scored = _by_block(drawn.scored.block, scores, self._layout.total)
        self._one_scored = _by_block(np.arange(m), scores, self._layout.total)

        self._size = np.maximum(self._layout.sums(self._exact.sum(axis=0) + self._scored.sum(axis=0)), 1.0)

    def count(self, rate: float, share: float, seed: int, progress: Callable[[float], None]) -> dict[str, Any]:
        """Alarms in as many strides as a week has, or STRIDES."""
        stride = self._plan.window // self._plan.strides
        week = WEEK_S * rate / stride
        total = min(STRIDES, round(week))
        alphas = [self._plan.false_alarms_per_week / week * times for times in TIMES]
        alarms = np.zeros((len(TIMES), len(self._layout.series)), dtype=np.int64)
        stray = 0
        last = np.full(alarms.shape, -(10**9), dtype=np.int64)
        for at, check in self._drawn(total, stride, share, np.random.default_rng(seed)):
            progress(at / total)
            alarms += self._over(check, at, alphas, last)
            stray += self._strays(check, alphas[0])
        weeks = total / week
        counts = alarms.sum(axis=1)
        return {
            "checks": total,
            "weeks": weeks,
            "psi_alarms_by_multiple_of_budget": {f"{times:g}": int(n) for times, n in zip(TIMES, counts, strict=True)},
            "psi_per_week": _at_budget(counts / weeks, counts),
            "stray_per_week": stray / weeks,
            "by_series": {name: int(n) for name, n in zip(self._layout.series, alarms[0], strict=True) if n},
            "windows_per_week": _at_budget(counts / weeks, counts) + stray / weeks,
        }

    def _drawn(self, total: int, stride: int, share: float, rng: np.random.Generator) -> Iterator[tuple[int, Check]]:
        longest = LONGEST * self._plan.strides
        before = np.zeros((0, self._layout.total), dtype=np.float32)
        for at in range(0, total, AT_ONCE):
            size = min(AT_ONCE, total - at)
            strides = _draw(self._exact, size, np.full(size, round(stride / BLOCK)), rng)
            if share > 0.5:
                strides += _draw(self._scored, size, np.full(size, round(share * stride / BLOCK)), rng)
            else:
                strides += _draw(self._one_scored, size, rng.binomial(stride, share, size), rng)
            joined = np.concatenate([before, strides])
            if len(joined) > longest:
                windows = self._latest(joined)
                yield at, self._checks.check(windows, 1.0)
            before = joined[-longest + 1 :] if len(joined) >= longest else joined

    def _latest(self, strides: npt.NDArray[np.float32]) -> Ints:
        """The window that ends with each stride but the first ones, as `Strides.windows` has it: INT64 [N, total]."""
        sums = np.concatenate([np.zeros((1, strides.shape[1])), strides.cumsum(axis=0, dtype=np.float64)])
        longest, per_window = LONGEST * self._plan.strides, self._plan.strides
        ends = np.arange(longest, len(sums))
        missing = self._layout.begins + self._layout.bins + MISSING
        length = np.full((len(ends), len(missing)), longest)
        for panes_of in range(longest, per_window - 1, -1):
            window = sums[ends] - sums[ends - panes_of]
            n = self._layout.sums(window) - window[:, missing]
            length[n >= ENOUGH] = panes_of
        of = np.repeat(length, self._layout.bins, axis=1)
        latest: Ints = (sums[ends] - sums[ends[:, None] - of, np.arange(sums.shape[1])]).round().astype(np.int64)
        return latest

    def _over(self, check: Check, at: int, alphas: Sequence[float], last: Ints) -> Ints:
        """Alarms that open, by multiple of the budget and series; `last` is the last check over each threshold."""
        opened = np.zeros(last.shape, dtype=np.int64)
        some = np.maximum(check.n, 1.0)
        for number, alpha in enumerate(alphas):
            over = (check.psi > self._checks.threshold(alpha, some) * self._sampled(some)) & (check.n >= FEWEST)
            for place, series in zip(*np.nonzero(over), strict=True):
                # An alarm stays open until windows without what raised it are back at normal.
                opened[number, series] += at + place - last[number, series] > self._plan.strides + self._plan.patience
                last[number, series] = at + place
        return opened

    def _sampled(self, n: Doubles) -> Doubles:
        """Factor on thresholds for windows of n values that are drawn from a sample and not from what it was drawn of.

        Live events have no second sample between them and what users do.
        """
        factor: Doubles = (1 + n / self._known + n / self._size) / (1 + n / self._known)
        return factor

    def _strays(self, check: Check, alpha: float) -> int:
        """Windows with too many values missing or out of range."""
        strays = 0
        names = list(self._layout.series)
        for missing, share in ((True, check.missing), (False, check.out_of_range)):
            for place, series in zip(*np.nonzero((share > STRAY) & (check.n >= FEWEST)), strict=True):
                n = float(check.n[place, series])
                strays += bool(share[place, series] > self._checks.stray(names[series], missing, n, alpha))
        return strays


def _at_budget(per_week: Doubles, counts: Ints) -> float:
    """The rate at the budget itself by a line through the logarithms of multiples and rates."""
    some = np.flatnonzero(counts >= FEWEST_ALARMS)[:LINE]
    if len(some) < 2:
        return float(per_week[0])
    _, offset = np.polyfit(np.log10(np.array(TIMES)[some]), np.log10(per_week[some]), 1)
    return float(10.0**offset)


def _by_block(block: Ints, places: Ints, total: int) -> npt.NDArray[np.float32]:
    """Values in each bin of each block, FP32 [blocks, total]."""
    row = np.repeat(block, places.shape[1])
    flat = places.ravel()
    counts = np.bincount(row[flat >= 0] * total + flat[flat >= 0], minlength=(int(block.max()) + 1) * total)
    return counts.reshape(-1, total).astype(np.float32)


def _draw(counts: npt.NDArray[np.float32], size: int, blocks: Ints, rng: np.random.Generator) -> Any:
    """Sums of blocks drawn at random, FP32 [size, total]; `blocks` of each."""
    row = np.repeat(np.arange(size), blocks)
    chosen = rng.integers(0, len(counts), len(row))
    times = np.bincount(row * len(counts) + chosen, minlength=size * len(counts)).reshape(size, len(counts))
    return times.astype(np.float32) @ counts
