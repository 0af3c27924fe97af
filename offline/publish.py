"""Publishing: a run's models and vectors, and the snapshot of the offline history, put live."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offline import data, runs, snapshot
from offline.errors import RunError
from offline.split import split
from settings import Settings
from stores import (
    ENCODER,
    RANKER,
    ItemIndex,
    LiveRun,
    Models,
    Profiles,
    Published,
    Snapshot,
    connect,
    delete_topics,
    ensure_topics,
)
from stores.feature_store import Features

TOLERANCE = 1e-5
"""Largest difference of a served output from that at training, relative and absolute."""

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


def publish(settings: Settings, run: Path, *, reset: bool, install: Callable[[], None], progress: Progress) -> Report:
    """Put a run live.

    The state of users is written only where there is none: a model is swapped without touching a profile.

    Args:
        settings: all settings.
        run: the run's folder.
        reset: delete the log and the live state, and begin anew with the snapshot. No stream worker may be running.
        install: called when the model repository has a new version, to bring what Triton serves up to date.
        progress: told of each step.

    Raises:
        RunError: if the run was trained on other data than the data folder or the live state holds, or if Triton does
            not answer as the trained model did.
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
    features = Features(settings)
    if reset:
        progress("deleting the live state", 0.0)
        delete_topics(settings.kafka)
        profiles.delete_all()
        published.delete_all()
        features.delete_all()
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
        features,
        lambda share: progress("writing the snapshot", share),
    )
    live = _publish_run(settings, run, manifest, ratings, install, progress)
    published.set_run(live)
    return Report(live, written, wrote_snapshot=there is None)


def _publish_run(
    settings: Settings,
    run: Path,
    manifest: runs.Manifest,
    ratings: data.Ratings,
    install: Callable[[], None],
    progress: Progress,
) -> LiveRun:
    progress("loading the models into Triton", 0.0)
    version = add_version(settings.model_repository, run)
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
    )
    _fill(settings, run, live, ratings)
    return live


def add_version(repository: Path, run: Path) -> int:
    """Copy a run's models into the stock model repository; the version that they have there.

    A run that is there already keeps its version.
    """
    versions: dict[int, str] = {}
    for mark in repository.glob(f"{RANKER}/*/run.txt"):
        versions[int(mark.parent.name)] = mark.read_text()
    for version, name in versions.items():
        if name == run.name and (repository / ENCODER / str(version)).is_dir():
            return version
    version = max(versions, default=0) + 1
    for model in (ENCODER, RANKER):
        folder = repository / model
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / str(version), ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=repository, prefix=".new-") as temporary:
            new = Path(temporary) / "version"
            new.mkdir()
            shutil.copy2(run / model / "model.onnx", new)
            (new / "run.txt").write_text(run.name)
            new.rename(folder / str(version))
        shutil.copy2(run / model / "config.pbtxt", folder)
    return version


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
            ranking = models.rank(expected["user_vector"], expected["ids"], expected["dense"], version)
            answers = {"next": ranking.next, "like": ranking.like, "score": ranking.score}
        for name, answer in answers.items():
            if not np.allclose(answer, expected[name], rtol=TOLERANCE, atol=TOLERANCE):
                worst = float(np.abs(answer - expected[name]).max())
                raise RunError(f"Triton's {model} answers {name} {worst:.2g} off what run {run.name} does; train again")


def _fill(settings: Settings, run: Path, live: LiveRun, ratings: data.Ratings) -> None:
    itemids, rows = runs.item_vectors(run)
    vectors = dict(zip(itemids.tolist(), rows, strict=True))
    places = split(ratings, settings.data).offline
    liked = ratings.itemid[places][ratings.rating[places] > 3]
    likes = np.bincount(liked, minlength=max(ratings.catalogue.items) + 1)
    scale = np.log1p(likes.max(initial=1))
    prior = {itemid: 0.1 + float(np.log1p(likes[itemid]) / scale) for itemid in ratings.catalogue.items}
    index = ItemIndex(settings.elasticsearch)
    try:
        index.create(live.index, live.dim)
        index.fill(live.index, ratings.catalogue.items.values(), vectors, prior)
        found = index.count(live.index)
        if found != len(ratings.catalogue.items):
            raise RunError(f"Elasticsearch holds {found} of {len(ratings.catalogue.items)} items; publish again")
        index.point_alias(live.index)
    finally:
        index.close()
