"""Distances between two distributions over the same bins."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def psi(reference: Floats, counts: npt.NDArray[np.integer], unit: float = 1.0) -> Floats:
    """Population stability index: the sum over bins of (now - reference) * ln(now / reference).

    A bin that is empty on one side counts as half a unit there; one that is empty on both sides counts nothing.
    Siddiqi, Credit Risk Scorecards, 2006.

    Args:
        reference: share of each bin, FP64 [bins].
        counts: values in each bin, [..., bins]; at least one value.
        unit: values that come together, as those of one user: a bin holds at least half as many. With half a value, a
            bin of a tenth of the values that one window in 40,000 leaves empty would count as much as all others.

    Returns:
        FP64 [...]: 0 for the same shares. In nats.

    >>> round(float(psi(np.array([0.5, 0.5]), np.array([75, 25]))), 4)
    0.2747
    """
    n = counts.sum(axis=-1, keepdims=True)
    half = 0.5 * unit / n
    now, then = np.maximum(counts / n, half), np.maximum(reference, half)
    used = (counts > 0) | (reference > 0)
    index: Floats = np.where(used, (now - then) * np.log(now / then), 0.0).sum(axis=-1)
    return index


def jensen_shannon(reference: Floats, counts: npt.NDArray[np.integer]) -> float:
    """Jensen-Shannon divergence in bits: 0 for the same shares, 1 where no bin is shared.

    Lin, Divergence measures based on the Shannon entropy, 1991.

    >>> jensen_shannon(np.array([1.0, 0.0]), np.array([0, 7]))
    1.0
    """
    now = counts / counts.sum()
    middle = (now + reference) / 2
    return float((_relative_entropy(now, middle) + _relative_entropy(reference, middle)) / 2)


def _relative_entropy(of: Floats, to: Floats) -> float:
    there = of > 0
    return float((of[there] * np.log2(of[there] / to[there])).sum())
