"""Items that a run was not trained with: their vectors and weights in its index, as a stream worker gives them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from features import Id, Item, Schema
from offline import runs
from offline.data.history import Floats
from stores.redis.published_runs import PublishedRuns
from stores.run_items import NEW_PRIOR

__all__ = ["NEW_PRIOR", "new_vectors", "store_items"]


def new_vectors(run: Path, schema: Schema, items: Iterable[Item]) -> dict[Id, Floats]:
    """Vectors of items that a run does not know, FP32 [D + 1] each.

    Raises:
        RunError: as `runs.regression`.
    """
    new = list(items)
    return dict(zip((item.itemid for item in new), runs.regression(run).vectors(schema, new), strict=True))


def store_items(published: PublishedRuns, run: str, folder: Path, prior: Mapping[Id, float]) -> None:
    """Write into Redis what a worker needs to write documents of changed items into the index of a run.

    Args:
        published: takes it.
        run: the run.
        folder: its folder.
        prior: weight of each item of the run, as its index has it.

    Raises:
        RunError: as `runs.regression`.
        Unreachable: if Redis does not answer.
    """
    itemids, vectors = runs.item_vectors(folder)
    weights = np.array([prior.get(itemid, NEW_PRIOR) for itemid in itemids], dtype=np.float32)
    published.set_items(run, runs.regression(folder), np.column_stack([vectors, weights]))
