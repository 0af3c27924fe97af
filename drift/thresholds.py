"""Thresholds: the values that PSI exceeds with a given probability while nothing drifts.

Events of one user resemble each other, so 1,000 events say less than 1,000 independent values would, and the textbook's
thresholds (0.1, 0.25) are too low for some series and far too high for others. The unit that is independent is a
block: successive events of one user. Two estimates of the tail are made from the blocks of the reference, and the
higher one counts:

1. To second order PSI times the number of values is Pearson's X², and under sampling by blocks that is a sum of
   chi-squares of one degree of freedom, weighted by the eigenvalues of the design effect (Rao and Scott, The analysis
   of categorical data from complex sample surveys, 1981). Its tail is the saddlepoint approximation of Kuonen
   (Saddlepoint approximations for distributions of quadratic forms in normal variables, 1999), whose relative error
   stays small however far out it is taken.
2. PSI itself of windows drawn from the blocks: beyond a high quantile the excess is taken for exponential (peaks
   over threshold; Coles, An introduction to statistical modeling of extreme values, 2001). This sees what X² does not:
   a bin that no block of a window falls into.

`bench drift` checks both against windows that were not drawn for them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from drift.divergence import psi
from drift.histogram import Histogram

BLOCK = 10
"""Most successive events of a user in a block."""

PROBABILITIES = tuple(10.0**-power for power in range(2, 15))
"""Probabilities whose thresholds are kept: 0.01 to 1e-14."""

DRAWS = 50_000
"""Most windows drawn, of blocks of BLOCK events; fewer of smaller blocks, of which a window takes more."""

EXCESSES = 100
"""Windows drawn, the furthest out, that the exponential tail is fitted to."""

AT_ONCE = 200
"""Windows drawn at once: 200 of 100 blocks in 450 bins take 18 MB."""

LEAST = 1.0
"""Least weight of a chi-square: that of independent values."""

ENOUGH = 100
"""Values that the window of a series should have; the windows of a sparse series are longer."""

FEWEST = 30
"""Values of a window below which nothing is said of it."""

LONGEST = 4
"""Longest window of a sparse series, in windows."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def blocks_of(userid: npt.NDArray[np.integer]) -> Ints:
    """Beginning of each block in events [N] sorted by user and time: at a new user, and each BLOCK events of one."""
    first = np.flatnonzero(np.r_[True, userid[1:] != userid[:-1]])
    since = np.arange(len(userid)) - np.repeat(first, np.diff(np.append(first, len(userid))))
    return np.flatnonzero(since % BLOCK == 0)


def block_numbers(userid: npt.NDArray[np.integer]) -> Ints:
    """The block of each of the same events, INT64 [N]."""
    begins = np.zeros(len(userid), dtype=np.int64)
    begins[blocks_of(userid)] = 1
    return np.cumsum(begins) - 1


@dataclass(frozen=True)
class Blocks:
    """The reference's values by block.

    Attributes:
        counts: values in each bin, FP32 [blocks, bins]; blocks without a value of the series are rows of zeros.
    """

    counts: npt.NDArray[np.float32]

    @classmethod
    def of(cls, block: Ints, place: Ints, bins: int) -> Blocks:
        """Count values: `block` and `place` (a bin; -1 where there is no value) of each event, INT64 [N]."""
        counted, blocks = place >= 0, int(block.max(initial=-1)) + 1
        flat = np.bincount(block[counted] * bins + place[counted], minlength=blocks * bins)
        return cls(flat.reshape(blocks, bins).astype(np.float32))

    def weights(self) -> Floats:
        """Eigenvalues of the design effect, greatest first; at least one, and none below LEAST."""
        counts = self.counts.astype(np.float64)
        total = counts.sum()
        if not total:
            return np.array([LEAST])
        shares, used = counts.sum(axis=0) / total, counts.sum(axis=0) > 0
        residual = (counts - counts.sum(axis=1, keepdims=True) * shares)[:, used]
        effect = residual.T @ residual / total / np.sqrt(np.outer(shares[used], shares[used]))
        eigenvalues = np.linalg.eigvalsh(effect)[::-1]
        # One degree of freedom less than bins: shares sum to one.
        kept: Floats = np.maximum(eigenvalues[: max(int(used.sum()) - 1, 1)], LEAST)
        return kept


@dataclass(frozen=True)
class Tail:
    """Distribution of a series' windows while nothing drifts.

    Attributes:
        unit: values that come together: the mean weight of the chi-squares.
        quantiles: PSI times number of values that is exceeded with each of PROBABILITIES.
    """

    unit: float
    quantiles: list[float]


def tails(named: Mapping[str, tuple[Histogram, Blocks]], window: int, seed: int) -> dict[str, Tail]:
    """The tails of series.

    Args:
        named: each series' histogram and its values in the same blocks.
        window: events of a window.
        seed: of the windows drawn.
    """
    weights = {name: blocks.weights() for name, (_, blocks) in named.items()}
    units = {name: round(float(weight.mean()), 4) for name, weight in weights.items()}
    drawn = _drawn(named, units, window, seed)
    found = {}
    for name in named:
        modelled = [quadratic_quantile(probability, weights[name]) for probability in PROBABILITIES]
        fitted = [_beyond(drawn[name], probability, float(weights[name][0])) for probability in PROBABILITIES]
        found[name] = Tail(units[name], [round(max(pair), 4) for pair in zip(modelled, fitted, strict=True)])
    return found


def _drawn(
    named: Mapping[str, tuple[Histogram, Blocks]], units: Mapping[str, float], window: int, seed: int
) -> dict[str, Floats]:
    """PSI times number of values of windows drawn from the blocks, by series."""
    every = np.concatenate([blocks.counts for _, blocks in named.values()], axis=1).astype(np.int16)
    events = max(float(blocks.counts.sum()) for _, blocks in named.values())
    per_window = max(1, round(window * len(every) / max(events, 1.0)))
    rng = np.random.default_rng(seed)
    draws = max(2_000, DRAWS * window // BLOCK // max(per_window, window // BLOCK))
    chosen = (rng.integers(0, len(every), (AT_ONCE, per_window)) for _ in range(0, draws, AT_ONCE))
    windows = np.concatenate([every[blocks].sum(axis=1, dtype=np.int32) for blocks in chosen])
    samples, begin = {}, 0
    for name, (histogram, blocks) in named.items():
        end = begin + blocks.counts.shape[1]
        samples[name] = _measured(histogram, windows[:, begin:end], units[name])
        begin = end
    return samples


def _measured(histogram: Histogram, counts: npt.NDArray[np.integer], unit: float) -> Floats:
    """PSI times number of values of windows, [windows, bins]; those of a sparse series are as long as the monitor's."""
    expected = float(counts.sum(axis=1).mean())
    length = min(LONGEST, max(1, math.ceil(ENOUGH / max(expected, 1e-9))))
    whole = len(counts) // length * length
    joined = counts[:whole].reshape(-1, length, counts.shape[1]).sum(axis=1)
    joined = joined[joined.sum(axis=1) >= 1]
    values: Floats = psi(histogram.shares, joined, unit) * joined.sum(axis=1)
    return values


def _beyond(values: Floats, probability: float, weight: float) -> float:
    """The threshold by an exponential tail; its mean excess is at least that of the heaviest chi-square."""
    if not len(values):
        return 0.0
    beyond = min(0.1, EXCESSES / len(values))
    if probability >= beyond:
        return float(np.quantile(values, 1.0 - probability))
    bound = float(np.quantile(values, 1.0 - beyond))
    above = values[values > bound]
    # The upper bound of its estimate: of many series the one whose tail is taken for too short raises the alarms.
    excess = float((above - bound).mean()) * (1.0 + 2.0 / math.sqrt(len(above))) if len(above) else 0.0
    return bound + max(excess, 2.0 * weight) * math.log(beyond / probability)


def quadratic_quantile(probability: float, weights: Floats) -> float:
    """The value that a sum of weighted chi-squares of one degree of freedom exceeds with a small probability.

    >>> round(quadratic_quantile(1e-8, np.array([1.0])))  # of a chi-square: 32.8
    33
    """
    wanted, low, high = math.log(probability), 0.0, 0.5 / float(weights[0])
    for _ in range(60):
        middle = (low + high) / 2
        if _log_tail(middle, weights) > wanted:
            low = middle
        else:
            high = middle
    return float((weights / (1.0 - 2.0 * low * weights)).sum())


def _log_tail(t: float, weights: Floats) -> float:
    """Log of the probability to exceed the value whose saddlepoint is `t`, 0 < t < 1 / (2 * greatest weight)."""
    left = 1.0 - 2.0 * t * weights
    if (left <= 0).any():
        return -math.inf
    value = float((weights / left).sum())
    w = math.sqrt(max(2.0 * (t * value + 0.5 * float(np.log(left).sum())), 1e-300))
    v = t * math.sqrt(2.0 * float(((weights / left) ** 2).sum()))
    return _log_normal_tail(w + math.log(v / w) / w)


def _log_normal_tail(z: float) -> float:
    """Log of the probability that a standard normal value exceeds z."""
    if z < 30:
        return math.log(0.5 * math.erfc(z / math.sqrt(2.0)))
    return -z * z / 2 - math.log(z * math.sqrt(2.0 * math.pi))


def poisson_threshold(mean: float, probability: float) -> int:
    """The least number that a Poisson variable exceeds with at most a probability.

    >>> poisson_threshold(0.02, 1e-8)
    3
    """
    term, number = math.exp(-min(mean, 700.0)), 0
    tail = 1.0 - term
    while tail > probability and number < 10_000:
        number += 1
        term *= mean / number
        # Summed from above: 1 minus a sum is lost to rounding where little is left.
        tail = term * mean / (number + 1) / max(1.0 - mean / (number + 2), 1e-3) if number + 2 > mean else 1.0
    return number
