"""Publishing: a run's models and vectors, and the snapshot of the offline history, put live.

The order of effects, under a lock (`stores.redis.publish_lock`):

    1. the run's models stand in the repository beside those in use, and Triton proves that it has them;
    2. the run's index stands in Elasticsearch beside that in use, and is proved;
    3. where there is none, the snapshot is written; `reset` deletes the state, and the log last, before that;
    4. one key in Redis switches to the run, if the live run is still the one that was there at the beginning;
    5. the alias of Elasticsearch follows;
    6. what neither the live run nor the one before needs is removed.

Ended between any two of them, the live run and the one before are whole, and publishing again completes the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from offline import runs
from offline.data import readers
from offline.data.split import split
from offline.errors import RunError
from offline.publish import model_repository
from offline.state import snapshot
from offline.state.beginning import write_beginning
from settings import RecallSettings, Settings
from stores import (
    ENCODER,
    RANKER,
    LiveRun,
    Models,
    Profiles,
    Published,
    PublishLock,
    Snapshot,
    StoreError,
    connect,
    ensure_topics,
)
from stores.elasticsearch import ItemIndex
from stores.redis.published import REBUILD

if TYPE_CHECKING:
    from stores.feast.feature_store import Features

RANKER_INPUTS = ("user_vector", "items", "rating", "row", "ids", "dense")

TOLERANCE = 1e-5
"""Largest difference of a served output from that at training, relative and absolute."""

NEAREST = 20
"""Items that a new index must find for each user of the probe."""

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0 to 1."""


class Step(StrEnum):
    """The steps of publishing, as progress names them."""

    READ = "reading the ratings"
    COPY = "copying the models"
    LOAD = "loading the models into Triton"
    INDEX = "filling the Elasticsearch index"
    DELETE_STATE = "deleting the live state"
    DELETE_LOG = "deleting the log"
    SNAPSHOT = "writing the snapshot"
    SWITCH = "switching to the run"
    ALIAS = "pointing the alias at the index"
    CLEAN = "removing what older runs needed"


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
    stop_workers: Callable[[], None] = lambda: None,
    progress: Progress,
) -> Report:
    """Put a run live, under requests or before the first.

    The state of users is written only where there is none: a model is swapped without touching a profile.

    Args:
        settings: all settings.
        run: the run's folder.
        reset: delete the live state and the log, and start over with the snapshot, once the run is proved.
        force: put the run live though it is worse than the live one, or takes other inputs.
        install: called when the model repository has changed, to bring what Triton serves up to date.
        stop_workers: called before the live state is deleted; that no stream worker reads the log is checked.
        progress: told of each step.

    Raises:
        RunError: if the run was trained on other data than the data folder or the live state holds, if it is worse on
            validation data than the live run, or if Triton does not answer as the trained model did.
        LockTaken: if another publish, rollback or reset is at work.
        LockLost: if another took over from this one; what is live is as that one left it.
        Unreachable: if a store does not answer.
    """
    manifest = runs.check(run)
    progress(Step.READ, 0.0)
    ratings = readers.load(settings)
    if readers.data_hash(ratings) != manifest.data_hash:
        raise RunError(
            f"run {manifest.run} was trained on other data than {settings.data_folder} holds; "
            "run `reelstream train`, or set ML1M_DIR to the data of the run"
        )
    words = f"publish --reset of run {manifest.run}" if reset else f"publish of run {manifest.run}"
    with lock(settings, words, progress) as held:
        publishing = _Publishing(settings, run, manifest, ratings, held, install, progress)
        return publishing(stop_workers if reset else None, force)


def lock(settings: Settings, words: str, progress: Progress) -> PublishLock:
    """The lock of publishing, not yet taken, for an operation that the words describe."""

    def waiting(holder: str) -> None:
        progress(f"looking whether {holder} still runs", 0.0)

    return PublishLock(connect(settings.redis), settings.publish.lock_s, words, waiting)


def quality_of(manifest: runs.Manifest) -> float:
    """The figure by which runs are compared: NDCG@10 of the whole pipeline on validation events."""
    return manifest.metrics["pipeline_validation"]["ndcg@10"]


class _Publishing:
    """One publish, under the lock."""

    def __init__(
        self,
        settings: Settings,
        run: Path,
        manifest: runs.Manifest,
        ratings: readers.Ratings,
        held: PublishLock,
        install: Callable[[], None],
        progress: Progress,
    ) -> None:
        self._settings, self._run, self._manifest, self._ratings = settings, run, manifest, ratings
        self._lock, self._install, self._progress = held, install, progress
        self._client = connect(settings.redis)
        self._published = Published(self._client)
        self._profiles = Profiles(self._client, settings.kafka.topic, settings.kafka.partitions)

    def __call__(self, stop_workers: Callable[[], None] | None, force: bool) -> Report:
        """Publish; where `stop_workers` is given, start over."""
        published, reset = self._published, stop_workers is not None
        before, stored = published.run_to_replace()
        previous = published.previous_run()
        if not reset:
            self._require_own_data()
        if before is not None and not force:
            self._require_quality(before)
            if not reset:
                model_repository.require_same_tensors(self._settings.model_repository, self._run)
        there = [known for known in (before, previous) if known is not None]
        version = self._load_models(next((known.version for known in there if known.run == self._manifest.run), None))
        live = self._live(version)
        index = ItemIndex(self._settings.elasticsearch)
        try:
            self._fill(index, live)
            written = self._state(stop_workers)
            snapshot = published.snapshot()
            assert snapshot is not None
            published.set_reference(live.run, (self._run / runs.REFERENCE).read_text())
            back_to = before if before is not None and before.run != live.run else previous
            if back_to is not None and back_to.data_hash not in ("", live.data_hash):
                back_to = None
            self._progress(Step.SWITCH, 0.0)
            published.switch(live, stored, back_to, self._lock)
            self._progress(Step.ALIAS, 0.0)
            index.point_alias(live.index)
            self._progress(Step.CLEAN, 0.0)
            self._clean(index, [live] if back_to is None else [live, back_to])
        finally:
            index.close()
        return Report(live, snapshot, written)

    def _live(self, version: int) -> LiveRun:
        return LiveRun(
            run=self._manifest.run,
            version=version,
            index=f"{self._settings.elasticsearch.alias}-{version}",
            dim=runs.item_vectors(self._run)[1].shape[1],
            history=self._manifest.input_schema.history,
            quality=quality_of(self._manifest),
            data_hash=self._manifest.data_hash,
        )

    def _require_own_data(self) -> None:
        """Refuse a state that began with other data, or that a reset has deleted in part."""
        if self._published.resetting() == REBUILD:
            raise RunError(
                "a `reelstream rebuild` did not come to its end and the live state is deleted in part; "
                "run `reelstream rebuild` again"
            )
        if self._published.resetting() is not None:
            raise RunError(
                "a `reelstream publish --reset` did not come to its end and the live state is deleted in part; "
                "run `reelstream publish --reset` again"
            )
        snapshot = self._published.snapshot()
        began_with = snapshot.data_hash if snapshot else self._published.snapshot_begun()
        if began_with not in (None, self._manifest.data_hash):
            raise RunError(
                "the live state began with other data than this run was trained on; "
                "`reelstream publish --reset` deletes the live state and the log, and starts over"
            )

    def _require_quality(self, live: LiveRun) -> None:
        quality, margin = quality_of(self._manifest), self._settings.publish.margin
        if quality < live.quality * (1.0 - margin):
            raise RunError(
                f"run {self._manifest.run} has NDCG@10 {quality:.4f} on validation data, the live run {live.run} "
                f"{live.quality:.4f}; `reelstream publish --force` puts it live all the same"
            )

    def _load_models(self, version: int | None) -> int:
        self._progress(Step.COPY, 0.0)
        self._lock.check()
        known, repository = version, self._settings.model_repository
        version = model_repository.add(repository, self._run, self._manifest, known, self._published.new_version)
        self._progress(Step.LOAD, 0.0)
        self._install()
        models = Models(self._settings.triton)
        try:
            for model in (ENCODER, RANKER):
                models.wait_until_loaded(model, version)
            prove(models, self._run, version)
        except (RunError, StoreError):
            if known is None:
                model_repository.withdraw(repository, version)
                self._install()
            raise
        finally:
            models.close()
        return version

    def _fill(self, index: ItemIndex, live: LiveRun) -> None:
        """Have the run's index filled and proved; one that is whole already is not touched."""
        self._progress(Step.INDEX, 0.0)
        items = self._ratings.catalogue.items
        if live.index in index.indices() and index.count(live.index) == len(items):
            try:
                prove_index(index, live.index, self._run)
                return
            except RunError:
                pass  # damaged, and so filled again
        itemids, rows = runs.item_vectors(self._run)
        vectors = dict(zip(itemids.tolist(), rows, strict=True))
        prior = term_prior(self._ratings, split(self._ratings, self._settings.data).offline)
        self._lock.check()
        index.create(live.index, live.dim, len(items))
        self._progress(Step.INDEX, 0.1)
        index.fill(live.index, items.values(), vectors, prior)
        found = index.count(live.index)
        if found != len(items):
            raise RunError(f"Elasticsearch holds {found} of {len(items)} items; publish again")
        self._progress(Step.INDEX, 0.9)
        prove_index(index, live.index, self._run)

    def _state(self, stop_workers: Callable[[], None] | None) -> bool:
        """Have the state that follows from the offline history and the log; whether the snapshot was written now."""
        if stop_workers is not None:
            self._lock.check()
            stop_workers()
            snapshot.delete(self._settings, self._profiles, self._published, self._features(), self._deleting)
        self._lock.check()
        ensure_topics(self._settings.kafka)
        if self._published.snapshot() is not None:
            return False
        write_beginning(
            self._settings,
            self._ratings,
            self._features(),
            lambda share: self._progress(Step.SNAPSHOT, share),
        )
        return True

    def _deleting(self, log: bool, share: float) -> None:
        self._progress(Step.DELETE_LOG if log else Step.DELETE_STATE, share)

    def _features(self) -> Features:
        """The feature store, imported late: a swap of models does without, and loading Feast costs requests 2 s."""
        from stores.feast.feature_store import Features

        return Features(self._settings)

    def _clean(self, index: ItemIndex, keep: list[LiveRun]) -> None:
        """Remove what no run needs that is live or that a rollback returns to, whoever left it."""
        self._lock.check()
        self._published.keep_references([run.run for run in keep])
        for other in set(index.indices()) - {run.index for run in keep}:
            index.delete(other)
        model_repository.remove_others(self._settings.model_repository, {run.version for run in keep})
        self._install()


def rollback(settings: Settings, progress: Progress = lambda what, share: None) -> LiveRun:
    """Go back to the run that was live before; called again, it returns to the other.

    Raises:
        RunError: if there is none, or its models or its index are gone, or the live state began with other data.
        LockTaken: if another publish, rollback or reset is at work.
        LockLost: if the live run was changed meanwhile.
        Unreachable: if a store does not answer.
    """
    published = Published(connect(settings.redis))
    with lock(settings, "rollback", progress) as held:
        live, stored = published.run_to_replace()
        before = published.previous_run()
        if live is None or before is None:
            raise RunError("there is no earlier run to go back to; `reelstream publish RUN` puts one live")
        snapshot = published.snapshot()
        if snapshot is None or before.data_hash not in ("", snapshot.data_hash):
            raise RunError(f"run {before.run} was trained on other data than the live state began with")
        models = Models(settings.triton)
        index = ItemIndex(settings.elasticsearch)
        try:
            if not all(models.ready(model, before.version) for model in (ENCODER, RANKER)):
                raise RunError(
                    f"Triton no longer has run {before.run}; `reelstream publish {before.run}` puts it live again"
                )
            if before.index not in index.indices() or index.count(before.index) != snapshot.items:
                raise RunError(
                    f"Elasticsearch no longer has run {before.run}; `reelstream publish {before.run}` puts it live "
                    "again"
                )
            published.switch(before, stored, live, held)
            index.point_alias(before.index)
        finally:
            models.close()
            index.close()
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


def term_prior(ratings: readers.Ratings, places: readers.Ints) -> dict[int, float]:
    """Weight of each item among those of the same terms, 0.1 to 1.1, by its likes among the events at `places`."""
    liked = ratings.itemid[places][ratings.rating[places] > 3]
    likes = np.bincount(liked, minlength=max(ratings.catalogue.items) + 1)
    scale = np.log1p(likes.max(initial=1))
    return {itemid: 0.1 + float(np.log1p(likes[itemid]) / scale) for itemid in ratings.catalogue.items}
