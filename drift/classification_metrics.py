"""Metrics of probabilities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]


def auc(label: npt.NDArray[np.floating], score: npt.NDArray[np.floating]) -> float:
    """Area under the ROC curve, ties counted half; NaN where there is only one label.

    >>> auc(np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.1, 0.8]))
    0.75
    """
    _, value, n = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(n) - (n - 1) / 2)[value]
    positive = label > 0.5
    likes, others = int(positive.sum()), int((~positive).sum())
    if not likes or not others:
        return float("nan")
    return float((rank[positive].sum() - likes * (likes + 1) / 2) / (likes * others))


def logloss(label: npt.NDArray[np.floating], probability: npt.NDArray[np.floating]) -> float:
    """Mean negative log-likelihood, in nats."""
    inside = np.clip(probability.astype(np.float64), 1e-7, 1 - 1e-7)
    return float(-np.mean(label * np.log(inside) + (1 - label) * np.log(1 - inside)))


BINS = 15
"""Bins of equal width of a calibration error."""


def calibration(
    label: npt.NDArray[np.floating], probability: npt.NDArray[np.floating]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Mean probability, share of likes (NaN each where there is no pair) and pairs in each of BINS bins."""
    place = np.minimum((probability.astype(np.float64) * BINS).astype(np.int64), BINS - 1)
    n = np.bincount(place, minlength=BINS)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, probability.astype(np.float64), BINS) / n
        share = np.bincount(place, label.astype(np.float64), BINS) / n
    return mean, share, n


def ece(label: npt.NDArray[np.floating], probability: npt.NDArray[np.floating]) -> float:
    """Expected calibration error (Naeini et al., 2015): mean distance of probability and share of likes over BINS bins.

    >>> round(ece(np.array([1.0, 0.0]), np.array([0.9, 0.9])), 6)
    0.4
    """
    mean, share, n = calibration(label, probability)
    used = n > 0
    return float((np.abs(mean - share)[used] * n[used]).sum() / n.sum())
