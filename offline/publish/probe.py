"""The proof that Triton and Elasticsearch answer a run's probe as the trained models did."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from features import Id
from offline import runs
from offline.errors import RunError
from scoring import RANKER_INPUTS, RankerInputs
from settings import RecallSettings
from stores import ENCODER, RANKER, Models
from stores.elasticsearch import ItemIndex

TOLERANCE = 1e-5
"""Largest difference of a served output from that at training, relative and absolute."""

NEAREST = 20
"""Items that a new index must find for each user of the probe."""

FOUND = 0.9
"""Least share of the nearest items that an index with a graph must find, of all users of the probe together."""

MOST_LEFT_OUT = 50_000
"""Most items that a search can leave out; where more were changed, an index is not proved."""


def prove(models: Models, run: Path, version: int) -> None:
    """Have Triton answer the run's probe and compare with what the trained models said.

    Raises:
        RunError: if an answer differs.
        Unreachable: if Triton does not answer.
    """
    for model in (ENCODER, RANKER):
        with np.load(run / model / runs.PROBE) as probe:
            expected = dict(probe)
        if model == ENCODER:
            answers = {"user_vector": models.encode(expected["items"], expected["liked"], version)}
        else:
            ranking = models.rank(RankerInputs(**{name: expected[name] for name in RANKER_INPUTS}), version)
            answers = {"next": ranking.next, "like": ranking.like, "score": ranking.score}
        for name, answer in answers.items():
            if not np.allclose(answer, expected[name], rtol=TOLERANCE, atol=TOLERANCE):
                worst = float(np.abs(answer - expected[name]).max())
                raise RunError(f"Triton's {model} answers {name} {worst:.2g} off what run {run.name} does; train again")


def prove_index(index: ItemIndex, name: str, run: Path, changed: Collection[Id] = ()) -> None:
    """Have Elasticsearch find the items nearest to the probe's users, which also warms what it searches with.

    Args:
        index: the client.
        name: of the index.
        run: folder of its run.
        changed: items that are left out, as they may have come or gone meanwhile.

    Raises:
        RunError: if others are nearer.
        Unreachable: if Elasticsearch does not answer.
    """
    itemids, rows = runs.item_vectors(run)
    kept = [place for place, itemid in enumerate(itemids) if itemid not in changed]
    if not kept or len(changed) > MOST_LEFT_OUT:
        return
    itemids, rows = tuple(itemids[place] for place in kept), rows[kept]
    place_of = {itemid: place for place, itemid in enumerate(itemids)}
    schema = runs.schema(run)
    limits = RecallSettings(vector_k=min(NEAREST, len(itemids)), term_k=0)
    with np.load(run / ENCODER / runs.PROBE) as probe:
        vectors = probe["user_vector"]
    hits = 0
    for vector in vectors:
        scores = rows @ vector
        found = index.recall(name, schema, vector, {}, changed, limits)
        told = scores[[place_of[candidate.itemid] for candidate in found]]
        least = np.sort(scores)[-limits.vector_k]
        hits += int(np.sum((told >= least) | np.isclose(told, least, rtol=TOLERANCE, atol=TOLERANCE)))
    needed = (1.0 if index.is_exact(name) else FOUND) * limits.vector_k * len(vectors)
    if hits < needed:
        raise RunError(f"Elasticsearch does not find the nearest items in {name}; publish again")
