"""Publishing: a run's models and vectors, and the snapshot of the offline history, put live.

The steps, under a lock (`stores.redis.publish_lock`), numbered as in docs/publishing.md:

    1. the run's files and its data are checked;
    2. a run that is worse on validation data is refused;
    3. the models are copied next to those in use, and Triton proves that it serves them;
    4. a new index is filled next to the one in use, with the items as they were changed since, and proved;
    5. without a snapshot, it is written, after the offline history to the archive; a reset first deletes the state,
       then log and archive; the index is filled again where the state has other items then;
    6. one key in Redis switches to the run, if the live run is still the one read at the beginning; then the alias of
       Elasticsearch follows, and a worker writes all changed items into the index again;
    7. everything is removed that neither the live run nor the previous one needs, nor whoever has not seen the switch.

If publishing ends between any two of them, the live run and the previous one are intact, and publishing again
completes the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from datasets import first_schema
from features import Id, Layer
from offline import runs
from offline.data import readers
from offline.data.split import split
from offline.data.term_prior import term_prior
from offline.errors import RunError
from offline.publish import model_repository
from offline.publish.index_fill import IndexFill, layer_of, layer_to_delete
from offline.publish.new_items import store_items
from offline.publish.probe import prove
from offline.state import snapshot
from offline.state.beginning import write_beginning
from offline.state.lock import Progress, lock
from settings import Settings
from stores import (
    ENCODER,
    RANKER,
    Generations,
    LiveRun,
    Models,
    OtherVersion,
    Published,
    PublishLock,
    Snapshot,
    StateStores,
    StoreError,
    Unreachable,
    ensure_topics,
)
from stores.archive import manifest as archive_manifest
from stores.elasticsearch import ItemIndex
from stores.redis.published import REBUILD
from stores.redis.unpublished_items import UnpublishedItems

if TYPE_CHECKING:
    from stores.feast.feature_store import Features

log = logging.getLogger("reelstream.publish")


class Step(StrEnum):
    """The steps of publishing, as progress names them."""

    READ = "reading the data set"
    COPY = "copying the models"
    LOAD = "loading the models into Triton"
    INDEX = "filling the Elasticsearch index"
    DELETE_STATE = "deleting the live state"
    DELETE_LOG = "deleting the log"
    FOLD = "folding the archive"
    SNAPSHOT = "writing the snapshot"
    SWITCH = "switching to the run"
    ALIAS = "pointing the alias at the index"
    CLEAN = "removing what older runs needed"


@dataclass(frozen=True)
class Report:
    """The result of publishing.

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
        RunError: if the run was trained on other data, or on another description of them, than the data folder or the
            live state holds, if it is worse on validation data than the live run, or if Triton does not answer as the
            trained model did.
        OtherVersion: if the live state was written with other counts than are declared.
        LockTaken: if another publish, rollback or reset is at work.
        LockLost: if another took over from this one; what is live is as that one left it.
        Unreachable: if a store does not answer.
    """
    manifest = runs.check(run)
    words = f"publish --reset of run {manifest.run}" if reset else f"publish of run {manifest.run}"
    with lock(settings, words, progress) as held:
        # Under the lock: `reelstream erase` takes it too, and leaves users out of the ratings.
        progress(Step.READ, 0.0)
        ratings = readers.load(settings)
        if readers.data_hash(ratings) != manifest.data_hash:
            raise RunError(
                f"run {manifest.run} was trained on other data than {settings.data_folder} holds; "
                "run `reelstream train`, or set REELSTREAM_DATA__FOLDER to the data of the run"
            )
        if runs.schema(run) != ratings.schema:
            raise RunError(
                f"run {manifest.run} was trained with another description of the data set than {settings.dataset} is "
                "now; run `reelstream train`, or set REELSTREAM_DATA__DATASET to the description of the run"
            )
        publishing = _Publishing(settings, run, manifest, ratings, held, install, progress)
        return publishing(stop_workers if reset else None, force)


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
        self._schema, self._ids = ratings.schema, runs.ids(run)
        self._lock, self._install, self._progress = held, install, progress
        self._state_stores = StateStores.live(settings)

    def __call__(self, stop_workers: Callable[[], None] | None, force: bool) -> Report:
        """Publish; where `stop_workers` is given, start over."""
        published, reset = self._published, stop_workers is not None
        before, stored = published.run_to_replace(force)
        try:
            previous = published.previous_run()
        except OtherVersion:
            previous = None  # nothing of this release can go back to it
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
            filling = self._filling(index, live, gently=before is not None)
            base = Layer(self._ratings.catalogue.items)
            layer = layer_to_delete(self._state_stores, base) if reset else self._layer()
            filling.ensure(base if reset or layer is None else layer, () if layer is None else layer.changed)
            if written := self._state(stop_workers):
                filling.fill_changed(layer, self._layer())
            published = self._published  # a reset has made another generation of the state live
            snapshot = published.snapshot()
            assert snapshot is not None
            published.set_reference(live.run, (self._run / runs.REFERENCE).read_text())
            published.set_ids(live.run, self._ids)
            store_items(published, live.run, self._run, self._prior)
            back_to = before if before is not None and before.run != live.run else previous
            if back_to is not None and not self._goes_back_to(back_to):
                back_to = None
            answered_with = index.behind_alias()
            self._progress(Step.SWITCH, 0.0)
            published.switch(live, stored, back_to, self._lock)
            # What changed since the index was filled, a worker wrote into the one before.
            UnpublishedItems(self._state_stores.profiles).mark(self._layer().changed)
            self._progress(Step.ALIAS, 0.0)
            index.point_alias(live.index)
            self._progress(Step.CLEAN, 0.0)
            self._clean(index, [live] if back_to is None else [live, back_to], answered_with)
        finally:
            index.close()
        return Report(live, snapshot, written)

    @property
    def _published(self) -> Published:
        return self._state_stores.published

    @cached_property
    def _prior(self) -> dict[Id, float]:
        """Weights of the items of the ratings among those of the same terms."""
        return term_prior(self._ratings, split(self._ratings, self._settings.data).offline)

    def _live(self, version: int) -> LiveRun:
        return LiveRun(
            run=self._manifest.run,
            version=version,
            index=f"{self._settings.elasticsearch.alias}-{version}",
            dim=runs.item_vectors(self._run)[1].shape[1],
            history=self._manifest.input_schema.history,
            quality=self._manifest.quality,
            data_hash=self._manifest.data_hash,
            dense=self._manifest.input_schema.dense,
            numbered=True,
        )

    def _goes_back_to(self, run: LiveRun) -> bool:
        """Return True if a rollback may put an earlier run live: one of the same data and the same description."""
        if run.data_hash not in ("", self._manifest.data_hash):
            return False
        if not run.numbered:
            return self._schema == first_schema()
        try:
            return self._schema == runs.schema(self._settings.runs / run.run)
        except RunError:
            return True  # its folder is gone; the rollback compares the columns

    def _require_own_data(self) -> None:
        """Refuse a state that began with other data or another description, or that a reset has deleted in part."""
        if self._published.resetting() == REBUILD:
            raise RunError(
                "a `reelstream rebuild` was interrupted and the live state is partly deleted; "
                "run `reelstream rebuild` again"
            )
        if self._published.resetting() is not None:
            raise RunError(
                "a `reelstream publish --reset` was interrupted and the live state is partly deleted; "
                "run `reelstream publish --reset` again"
            )
        self._published.require_state_version()
        snapshot = self._published.snapshot()
        began_with = snapshot.data_hash if snapshot else self._published.snapshot_begun()
        if began_with not in (None, self._manifest.data_hash):
            raise RunError(
                "the live state was built from other data than this run was trained on; "
                "`reelstream publish --reset` deletes the live state and the log, and starts over"
            )
        if began_with is not None and self._published.schema() != self._schema:
            raise RunError(
                "the live state was built with another description of the data set than this run was trained with; "
                "`reelstream publish --reset` deletes the live state and the log, and starts over"
            )

    def _require_quality(self, live: LiveRun) -> None:
        quality, margin = self._manifest.quality, self._settings.publish.margin
        if quality < live.quality * (1.0 - margin):
            raise RunError(
                f"run {self._manifest.run} has NDCG@10 {quality:.4f} on validation data, the live run {live.run} "
                f"{live.quality:.4f}; `reelstream publish --force` publishes it anyway"
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

    def _layer(self) -> Layer:
        return layer_of(self._state_stores, self._ratings.catalogue.items)

    def _filling(self, index: ItemIndex, live: LiveRun, *, gently: bool) -> IndexFill:
        telling = partial(self._progress, Step.INDEX)
        return IndexFill(index, live, self._run, self._schema, self._prior, self._lock.check, gently, telling)

    def _state(self, stop_workers: Callable[[], None] | None) -> bool:
        """Have the state that follows from the offline history and the log; whether the snapshot was written now."""
        if stop_workers is not None:
            self._lock.check()
            stop_workers()
            snapshot.delete(self._settings, self._state_stores, self._deleting)
            self._state_stores = StateStores.live(self._settings)
        self._lock.check()
        ensure_topics(self._settings.kafka)
        self._archive()
        if self._published.snapshot() is not None:
            self._mend_catalogue()
            return False
        self._note_epochs()
        write_beginning(
            self._settings,
            self._ratings,
            self._features(),
            lambda share: self._progress(Step.FOLD, share),
            lambda share: self._progress(Step.SNAPSHOT, share),
        )
        return True

    def _note_epochs(self) -> None:
        """Note how a log is spread that had fewer partitions, before a process folds it by a former number."""
        found, partitions = archive_manifest.read(self._settings.archive_folder), self._settings.kafka.partitions
        if found is not None and found.partitions == partitions:
            generations = Generations(self._state_stores.profiles.client)
            generations.note_log(partitions, len(found.epochs), self._lock)

    def _mend_catalogue(self) -> None:
        """Write the catalogue where what is stored cannot be read, without which no event can be folded."""
        try:
            self._published.catalogue()
        except Unreachable:
            raise
        except Exception as error:
            log.warning("the stored catalogue is replaced, as it cannot be read: %r", error)
            self._published.set_catalogue(self._ratings.catalogue.items)

    def _archive(self) -> None:
        """Have the offline history in the archive, also that of a state from before there was one."""
        data_hash = self._manifest.data_hash
        found = archive_manifest.read(self._settings.archive_folder)
        if found is None or found.history is None or found.history.data_hash != data_hash:
            # Imported late: a swap of models does without PyArrow, whose import takes CPU time from requests.
            from offline.state.archived_history import archive_history

            archive_history(self._settings, self._ratings, data_hash)

    def _deleting(self, log: bool, share: float) -> None:
        self._progress(Step.DELETE_LOG if log else Step.DELETE_STATE, share)

    def _features(self) -> Features:
        """The feature store, imported late: a swap of models does without, and loading Feast costs requests 2 s."""
        from stores.feast.feature_store import Features

        return Features(self._settings, self._schema, self._state_stores.generation)

    def _clean(self, index: ItemIndex, keep: list[LiveRun], answered_with: list[str]) -> None:
        """Remove what no run needs that is live or that a rollback returns to, whoever left it.

        Args:
            index: a client of Elasticsearch.
            keep: these runs.
            answered_with: indices of the run that was live until now, whose record this release may be unable to read.
                The API answers with it until it has seen the switch, so it is left to the next publish.
        """
        self._lock.check()
        self._published.keep_runs([run.run for run in keep])
        indices = {run.index for run in keep} | set(answered_with)
        for other in set(index.indices()) - indices:
            index.delete(other)
        # The name of an index ends with the version of its models, see `_live`.
        suffixes = {name.rpartition("-")[2] for name in indices}
        model_repository.remove_others(
            self._settings.model_repository, {int(suffix) for suffix in suffixes if suffix.isdigit()}
        )
        self._install()
