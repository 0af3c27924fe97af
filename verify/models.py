"""The comparison of what Elasticsearch and Triton hold for a run with the run's folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from features import GENRES, Item
from offline import runs
from offline.data.readers import Ratings
from offline.data.split import split
from offline.data.term_prior import term_prior
from offline.errors import RunError
from offline.publish.probe import prove, prove_index
from settings import Settings
from stores import ENCODER, RANKER, LiveRun, Models
from stores.elasticsearch import INDEX_VERSION, Document, ItemIndex
from verify.report import Progress, Verified

FILES = ("model.onnx", "config.pbtxt")


def compare_index(
    settings: Settings, run: LiveRun, folder: Path, ratings: Ratings, live: bool, result: Verified, progress: Progress
) -> None:
    """Compare each document of a run's index, and what a search finds.

    Args:
        settings: all settings.
        run: the run.
        folder: its folder.
        ratings: the archive.
        live: whether the alias must point at the index.
        result: takes the differences.
        progress: told of how far it is.

    Raises:
        Unreachable: if Elasticsearch does not answer.
    """
    index = ItemIndex(settings.elasticsearch)
    try:
        if run.index not in index.indices():
            result.check(f"index {run.index}", "an index", None)
            return
        itemids, vectors = runs.item_vectors(folder)
        vector_of = dict(zip(itemids.tolist(), vectors, strict=True))
        prior = term_prior(ratings, split(ratings, settings.data).offline)
        missing = set(ratings.catalogue.items)
        for document in index.documents(run.index):
            item = ratings.catalogue.items.get(document.itemid)
            name = f"document {document.id} of {run.index}"
            if item is None or str(item.itemid) != document.id:
                result.check(name, None, document.fields)
                continue
            missing.discard(item.itemid)
            _compare_document(name, document, item, prior[item.itemid], vector_of[item.itemid], result)
            result.documents += 1
            progress(f"comparing {run.index}", result.documents / len(ratings.catalogue.items))
        for itemid in missing:
            result.check(f"document {itemid} of {run.index}", "a document", None)
        result.check(f"version of {run.index}", INDEX_VERSION, index.version(run.index))
        result.check(f"count of {run.index}", len(ratings.catalogue.items), index.count(run.index))
        if live:
            result.check(f"alias {settings.elasticsearch.alias}", [run.index], index.behind_alias())
        try:
            prove_index(index, run.index, folder)
        except (RunError, KeyError) as error:
            result.check(f"search in {run.index}", "the items nearest to the users of the probe", error)
    finally:
        index.close()


def _compare_document(
    name: str, document: Document, item: Item, prior: float, vector: npt.NDArray[np.float32], result: Verified
) -> None:
    """Compare a document with the item of its id, and with the item's vector."""
    expected = {
        "itemid": item.itemid,
        "title": item.title,
        "year": item.year,
        "decade": item.decade,
        "genres": [GENRES[genre] for genre in item.genres],
        # As Elasticsearch holds it, in 32 bits.
        "prior": float(np.float32(prior)),
    }
    held = document.fields["prior"]
    result.check(name, expected, {**document.fields, "prior": None if held is None else float(np.float32(held))})
    if not np.array_equal(np.array(document.vector, dtype=np.float32), vector):
        result.check(f"vector of {name}", vector.tolist(), document.vector)


def compare_models(settings: Settings, run: LiveRun, folder: Path, result: Verified) -> None:
    """Compare the files of the model repository with the manifest, and Triton's answers with the recorded ones.

    Raises:
        Unreachable: if Triton does not answer.
    """
    manifest = runs.manifest(folder)
    for model in (ENCODER, RANKER):
        place = settings.model_repository / model
        for file in FILES:
            path = place / (str(run.version) if file == "model.onnx" else "") / file
            stored = runs.sha256(path) if path.is_file() else None
            result.check(f"{model}/{file} of version {run.version}", manifest.files[f"{model}/{file}"], stored)
    models = Models(settings.triton)
    try:
        for model in (ENCODER, RANKER):
            if not models.ready(model, run.version):
                result.check(f"{model} version {run.version} on Triton", "ready", "not loaded")
                return
        prove(models, folder, run.version)
    except RunError as error:
        result.check(f"answers of version {run.version} on Triton", "as recorded at training", error)
    finally:
        models.close()
