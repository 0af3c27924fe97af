"""Publishing: a run's models and vectors, and the snapshot of the offline history, put live."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from offline import data, model_repository, runs, snapshot
from offline.errors import RunError
from offline.split import split
from settings import RecallSettings, Settings
from stores import (
    ENCODER,
    RANKER,
    DriftStore,
    LiveRun,
    Models,
    Profiles,
    Published,
    Snapshot,
    connect,
    delete_topics,
    ensure_topics,
)
from stores.catalogue import ItemIndex
from stores.log_check import log_identity

if TYPE_CHECKING:
    from stores.feature_store import Features

RANKER_INPUTS = ("user_vector", "items", "rating", "row", "ids", "dense")

TOLERANCE = 1e-5
"""Largest difference of a served output from that at training, relative and absolute."""

NEAREST = 20
"""Items that a new index must find for each user of the probe."""

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0 to 1."""


@dataclass(frozen=True)
class Report:
    """What publishing did.

    Attributes:
        live: the run now in use.
        snapshot: the snapshot that the state began with.
        wrote_snapshot: whether it was written now; else the live state was kept.
    """

    live: LiveRun
    snapshot: Snapshot
    wrote_snapshot: bool


def publish(
    settings: Settings,
    run: Path,
    *,
    reset: bool = False,
    force: bool = False,
    install: Callable[[], None],
    progress: Progress,
) -> Report:
    """Put a run live, under requests or before the first.

    The state of users is written only where there is none: a model is swapped without touching a profile. The new run's
    models and index stand beside those in use until they are proved; then one key in Redis switches to them. What the
    run before needs stays for `rollback`; what is older goes.

    Args:
        settings: all settings.
        run: the run's folder.
        reset: delete the log and the live state, and begin anew with the snapshot. No stream worker may be running.
        force: put the run live though it is worse than the live one.
        install: called when the model repository has a new version, to bring what Triton serves up to date.
        progress: told of each step.

    Raises:
        RunError: if the run was trained on other data than the data folder or the live state holds, if it is worse on
            validation data than the live run, or if Triton does not answer as the trained model did.
        Unreachable: if a store does not answer.
    """
    manifest = runs.check(run)
    progress("reading the ratings", 0.0)
    ratings = data.load(settings)
    if data.data_hash(ratings) != manifest.data_hash:
        raise RunError(
            f"run {manifest.run} was trained on other data than {settings.data_folder} holds; "
            "run `reelstream train`, or set ML1M_DIR to the data of the run"
        )
    client = connect(settings.redis)
    profiles = Profiles(client, settings.kafka.topic, settings.kafka.partitions)
    published = Published(client)
    if reset:
        progress("deleting the live state", 0.0)
        delete_topics(settings.kafka)
        profiles.delete_all()
        published.delete_all()
        _features(settings).delete_all()
        DriftStore(client).delete_all()
    ensure_topics(settings.kafka)
    there = published.snapshot()
    if there is not None and there.data_hash != manifest.data_hash:
        raise RunError(
            "the live state began with other data than this run was trained on; "
            "`reelstream publish --reset` deletes the live state and begins anew"
        )
    written = there or snapshot.write(
        ratings,
        split(ratings, settings.data).offline,
        profiles,
        published,
        _features(settings),
        log_identity(settings.kafka),
        lambda share: progress("writing the snapshot", share),
    )
    before = published.run()
    if before is not None and not force:
        _require_quality(settings, before, manifest)
    keep = {before.version} if before is not None else set()
    live = _publish_run(settings, run, manifest, ratings, keep, install, progress)
    published.set_reference(live.run, (run / runs.REFERENCE).read_text(), [before.run] if before else [])
    published.switch(live, before)
    return Report(live, written, wrote_snapshot=there is None)


def _features(settings: Settings) -> Features:
    """The feature store, imported late: a swap of models does without, and loading Feast costs requests 2 s."""
    from stores.feature_store import Features

    return Features(settings)


def _require_quality(settings: Settings, live: LiveRun, manifest: runs.Manifest) -> None:
    quality, margin = quality_of(manifest), settings.publish.margin
    if quality < live.quality * (1.0 - margin):
        raise RunError(
            f"run {manifest.run} has NDCG@10 {quality:.4f} on validation data, the live run {live.run} "
            f"{live.quality:.4f}; `reelstream publish --force` puts it live all the same"
        )


def _publish_run(
    settings: Settings,
    run: Path,
    manifest: runs.Manifest,
    ratings: data.Ratings,
    keep: set[int],
    install: Callable[[], None],
    progress: Progress,
) -> LiveRun:
    progress("loading the models into Triton", 0.0)
    version = model_repository.add(settings.model_repository, run, keep)
    install()
    models = Models(settings.triton)
    try:
        for model in (ENCODER, RANKER):
            models.load(model)
        prove(models, run, version)
    finally:
        models.close()
    progress("filling the Elasticsearch index", 0.0)
    live = LiveRun(
        run=manifest.run,
        version=version,
        index=f"{settings.elasticsearch.alias}-{version}",
        dim=runs.item_vectors(run)[1].shape[1],
        history=manifest.input_schema.history,
        quality=quality_of(manifest),
    )
    _fill(settings, run, live, ratings, keep)
    return live


def quality_of(manifest: runs.Manifest) -> float:
    """The figure by which runs are compared: NDCG@10 of the whole pipeline on validation events."""
    return manifest.metrics["pipeline_validation"]["ndcg@10"]


def rollback(settings: Settings) -> LiveRun:
    """Go back to the run that was live before; called again, it returns to the other.

    Raises:
        RunError: if there is none, or its models or its index are gone.
        Unreachable: if a store does not answer.
    """
    published = Published(connect(settings.redis))
    live, before = published.run(), published.previous_run()
    if live is None or before is None:
        raise RunError("there is no earlier run to go back to; `reelstream publish RUN` puts one live")
    models = Models(settings.triton)
    index = ItemIndex(settings.elasticsearch)
    try:
        if not all(models.ready(model, before.version) for model in (ENCODER, RANKER)):
            raise RunError(
                f"Triton no longer has run {before.run}; `reelstream publish {before.run}` puts it live again"
            )
        if before.index not in index.indices():
            raise RunError(
                f"Elasticsearch no longer has run {before.run}; `reelstream publish {before.run}` puts it live again"
            )
        index.point_alias(before.index)
    finally:
        models.close()
        index.close()
    published.switch(before, live)
    return before


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
            ranking = models.rank(version=version, **{name: expected[name] for name in RANKER_INPUTS})
            answers = {"next": ranking.next, "like": ranking.like, "score": ranking.score}
        for name, answer in answers.items():
            if not np.allclose(answer, expected[name], rtol=TOLERANCE, atol=TOLERANCE):
                worst = float(np.abs(answer - expected[name]).max())
                raise RunError(f"Triton's {model} answers {name} {worst:.2g} off what run {run.name} does; train again")


def prove_index(index: ItemIndex, name: str, run: Path) -> None:
    """Have Elasticsearch find the items nearest to the probe's users, which also warms what it searches with.

    Raises:
        RunError: if others are nearer.
        Unreachable: if Elasticsearch does not answer.
    """
    itemids, rows = runs.item_vectors(run)
    place_of = {itemid: place for place, itemid in enumerate(itemids.tolist())}
    limits = RecallSettings(vector_k=min(NEAREST, len(itemids)), term_k=0)
    with np.load(run / ENCODER / runs.PROBE) as probe:
        vectors = probe["user_vector"]
    for vector in vectors:
        scores = rows @ vector
        found = index.recall(name, len(itemids), vector, {"genres": {}, "decades": {}}, (), limits)
        told = np.sort(scores[[place_of[candidate.itemid] for candidate in found]])
        nearest = np.sort(scores)[-limits.vector_k :]
        if len(told) != len(nearest) or not np.allclose(told, nearest, rtol=TOLERANCE, atol=TOLERANCE):
            raise RunError(f"Elasticsearch does not find the nearest items in {name}; publish again")


def term_prior(ratings: data.Ratings, places: data.Ints) -> dict[int, float]:
    """Weight of each item among those of the same terms, 0.1 to 1.1, by its likes among the events at `places`."""
    liked = ratings.itemid[places][ratings.rating[places] > 3]
    likes = np.bincount(liked, minlength=max(ratings.catalogue.items) + 1)
    scale = np.log1p(likes.max(initial=1))
    return {itemid: 0.1 + float(np.log1p(likes[itemid]) / scale) for itemid in ratings.catalogue.items}


def _fill(settings: Settings, run: Path, live: LiveRun, ratings: data.Ratings, keep: set[int]) -> None:
    itemids, rows = runs.item_vectors(run)
    vectors = dict(zip(itemids.tolist(), rows, strict=True))
    prior = term_prior(ratings, split(ratings, settings.data).offline)
    index = ItemIndex(settings.elasticsearch)
    try:
        alias = settings.elasticsearch.alias
        there = index.indices()
        for other in there:
            if other not in {live.index, *(f"{alias}-{version}" for version in keep)}:
                index.delete(other)
        if live.version in keep and live.index in there:
            return
        index.create(live.index, live.dim, len(ratings.catalogue.items))
        index.fill(live.index, ratings.catalogue.items.values(), vectors, prior)
        found = index.count(live.index)
        if found != len(ratings.catalogue.items):
            raise RunError(f"Elasticsearch holds {found} of {len(ratings.catalogue.items)} items; publish again")
        prove_index(index, live.index, run)
        index.point_alias(live.index)
    finally:
        index.close()
