"""Metrics of ranked lists; those of probabilities are in `drift.classification_metrics`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def of_ranks(rank: npt.NDArray[np.integer]) -> dict[str, float]:
    """Metrics of lists with one wanted item each.

    Args:
        rank: place of the wanted item in each list, from 0; a large number where it is missing.

    Returns:
        hr@10, hr@50, hr@200: share of lists with the item among the first; ndcg@10: 1 / log2(rank + 2) within the first
        10; mrr: mean of 1 / (rank + 1). All are 0 where there are no lists.
    """
    place = rank.astype(np.float64) if len(rank) else np.full(1, np.inf)
    return {
        "hr@10": float(np.mean(place < 10)),
        "ndcg@10": float(np.mean((place < 10) / np.log2(place + 2))),
        "hr@50": float(np.mean(place < 50)),
        "hr@200": float(np.mean(place < 200)),
        "mrr": float(np.mean(1.0 / (place + 1))),
    }
