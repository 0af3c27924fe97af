"""Training: from the events to a run folder."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from drift import Reference
from features.columns import ItemTable
from offline import ranking_metrics, runs
from offline.data.arrivals import Before, expected, unseen, without
from offline.data.history import Floats, PointInTime, State, replay
from offline.data.point_in_time import Collector, PriorStates
from offline.data.readers import Ints, Ratings, data_hash, events_of_items, load
from offline.data.split import Split, split, split_of_training, time_order
from offline.data.windows import by_user, sequences
from offline.errors import DataError
from offline.models import metadata
from offline.models.encoder import Encoder, Ensemble
from offline.models.export import export_encoder, export_ranker
from offline.models.neighbours import Neighbours, neighbours
from offline.models.ranker import Ranker
from offline.models.reranker import Reranker
from offline.models.similar import Near
from offline.train import ensemble, parallel, reranker_training
from offline.train.allocator import keep_memory, release_memory
from offline.train.answers import catalogue_vectors, encode_with
from offline.train.encoder_training import Plan
from offline.train.lists import CANDIDATES, CandidateLists, EncoderRecall
from offline.train.p_like_ensemble import PLikeEnsemble
from offline.train.reference import ScoredArrivals, ServedModels, reference
from offline.train.validation import Validation
from scoring.metadata import Regression
from settings import Settings

SAMPLE = 3000
"""Discoveries among the validation events on which the encoders are watched."""

LISTS = 10_000
"""Most discoveries among the validation events on whose lists the order is learned."""

VALUES = 100_000_000
"""Most values of dense features in these lists, 400 MB; of a data set with many features there are fewer lists."""

SIDE_BY_SIDE = 100_000
"""Events from which models are trained side by side: to start a process takes seconds."""

REFIT_RATE = 0.5
"""Learning rate of the passes over all offline events, as a share of the first one."""

Progress = Callable[[str, int, int, str], None]
"""Called with the stage, steps done, steps in all, and a word on how it goes."""


CHECKPOINTS = 3
"""Version of the layout of checkpoints, which names their folder: those of another version are left alone."""


class Training:
    """One training run; `train` is its way in."""

    def __init__(self, settings: Settings, progress: Progress, *, validation: bool = False) -> None:
        self._settings, self._progress, self._validation_run = settings, progress, validation
        self._seconds: dict[str, float] = {}
        self._metrics: dict[str, dict[str, float]] = {}
        self._regression: Regression
        torch.manual_seed(settings.train.seed)
        if settings.train.threads:
            torch.set_num_threads(settings.train.threads)
        with self._stage("data"):
            self._ratings = load(settings)
            self._split = (split_of_training if validation else split)(self._ratings, settings.data)
            _require_events(self._ratings, self._split)
            self._data_hash = data_hash(self._ratings)
            self._arrivals = expected(self._ratings, self._split, settings.train.seed)
            self._unseen = unseen(self._ratings, self._arrivals, self._split, settings.train.seed)
            self._refitted = without(self._ratings, self._split, self._unseen)
        threads = torch.get_num_threads() if len(self._split.offline) >= SIDE_BY_SIDE else 1
        self._workers = parallel.Workers(threads)
        self._schema, self._items = self._ratings.schema, self._ratings.items
        # Without users who were erased since, the ratings are others, though of the same data set.
        erased = f" {len(self._ratings)}" if self._ratings.erased_to else ""
        described = f"{self._schema.to_json()} {settings.data.online_events} {settings.data.train_share}"
        part = " validation" if validation else ""
        training = f"{CHECKPOINTS} {self._data_hash} {settings.train.model_dump_json()} {described}{erased}{part}"
        key = hashlib.sha256(training.encode()).hexdigest()[:16]
        self._checkpoints = settings.state / "checkpoints" / key

    def run(self) -> Path:
        """Train, export and write the run folder."""
        with self._stage("encoder"):
            encoders = self._encoders()
        with self._stage("features"):
            dense, parts, before = self._features(Ensemble(encoders))
        with self._stage("ranker"):
            likes = PLikeEnsemble(self._ratings, self._split, dense, self._settings.train)
            ranker = self._ranker(encoders, likes)
        with self._stage("order"):
            self._order(ranker, parts)
        del dense, parts
        with self._stage("refit"):
            encoder = self._refit(encoders, ranker, likes)
        with self._stage("reference"):
            served = ServedModels(ranker, self._recall(encoder, ranker.item_vectors[1:].numpy()))
            scored = ScoredArrivals.of(self._ratings, self._unseen, before, served)
            compared = reference(self._ratings, self._arrivals, before, scored, self._settings.train.seed)
        run = self._write(encoder, ranker, compared, scored)
        shutil.rmtree(self._checkpoints, ignore_errors=True)
        return run

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        self._progress(name, 0, 1, "")
        start = time.monotonic()
        yield
        self._seconds[name] = round(time.monotonic() - start, 2)
        release_memory()
        self._progress(name, 1, 1, "")

    def _encoders(self) -> list[Encoder]:
        """Trained on fit, measured on validation after each epoch."""
        known = by_user(self._ratings, self._split.train)
        chosen = np.flatnonzero(np.isin(known, self._validation(SAMPLE)))
        codes, events = self._schema.codes, sequences(self._ratings, self._split.train)
        validation = Validation.of(codes, events, chosen, self._settings.train.history) if len(chosen) else None
        encoders, curves = self._train_encoders("encoder", None, self._split.fit, validation)
        for epoch in range(max(len(curve) for curve in curves)):
            reached = [curve[epoch] for curve in curves if epoch < len(curve)]
            self._metrics[f"encoder_epoch_{epoch + 1}"] = {
                name: float(np.mean([of[name] for of in reached])) for name in reached[0]
            }
        return encoders

    def _refit(self, encoders: list[Encoder], ranker: Ranker, likes: PLikeEnsemble) -> Ensemble:
        """Train the served models on more: P(like) on the validation events too, all else on nearly all offline events.

        The events that drift compares live scores with are kept back: a model's scores of what it has learned from are
        not like those of what is to come.
        """
        likes.see_validation()
        ranker.near.set_tables(likes.tables)
        self._metrics["ranker_test"] = likes.figures(ranker.like_models(), self._split.test)
        if self._settings.train.refit_epochs:
            encoders, _ = self._train_encoders("refit", encoders, self._refitted, None)
            ranker.reranker.set_neighbours(self._neighbours(self._refitted))
        encoder = Ensemble(encoders).eval()
        vectors, table = encoder.item_vectors(), metadata.describe(self._schema, self._ratings.catalogue)
        n = events_of_items(self._ratings, self._split.offline)
        own = vectors[1:].numpy().copy()
        self._regression = metadata.regression(self._schema, self._ratings.catalogue, own, n)
        vectors[1:] = torch.from_numpy(metadata.settled(table, own, n))
        ranker.set_item_vectors(vectors)
        return encoder

    def _train_encoders(
        self, stage: str, begin: list[Encoder] | None, places: Ints, validation: Validation | None
    ) -> tuple[list[Encoder], list[ensemble.Curve]]:
        train, events = self._settings.train, sequences(self._ratings, places)
        tasks = []
        for number in range(train.encoders):
            seed = train.seed + number
            plan = Plan(train.encoder_epochs, train.encoder_batch, train.encoder_rate, seed)
            weights = None
            if begin is not None:
                plan = Plan(train.refit_epochs, train.encoder_batch, train.encoder_rate * REFIT_RATE, seed + 1000)
                weights = ensemble.weights_of(begin[number])
            checkpoint = self._checkpoints / f"{stage}-{number}.pt"
            shape = self._schema.codes, self._items.size, train
            tasks.append(ensemble.Task(weights, *shape, events, plan, validation, checkpoint))
        return ensemble.train(tasks, self._workers, lambda step, steps, note: self._progress(stage, step, steps, note))

    def _neighbours(self, places: Ints) -> Neighbours:
        return neighbours(self._schema.codes, sequences(self._ratings, places), len(self._items))

    def _validation(self, most: int) -> Ints:
        """Places of discoveries among the validation events, ascending."""
        places = self._split.validation
        found = places[self._ratings.targets(places)]
        rng = np.random.default_rng(self._settings.train.seed)
        return np.sort(rng.choice(found, min(most, len(found)), replace=False))

    def _features(self, encoder: Ensemble) -> tuple[Floats, list[CandidateLists], Before]:
        """Dense rows of all offline events, by `split.offline`; lists of validation; users before the arrivals."""
        ratings, parts = self._ratings, self._split
        made: list[CandidateLists] = []
        recall = self._recall(encoder.eval(), catalogue_vectors(encoder))

        def use(states: PriorStates) -> None:
            made.append(CandidateLists.of(states, ratings.item[states.place] - 1, recall))

        rows = PointInTime(ratings, parts.offline)
        most = min(LISTS, VALUES // (CANDIDATES * len(self._schema.dense_columns)))
        collector = Collector(ratings, self._validation(most), use)
        before = Before(ratings, self._arrivals, self._unseen)
        replay(
            ratings,
            time_order(ratings, parts.offline),
            State(self._schema, ratings.catalogue),
            (rows, collector, before),
            lambda done, total: self._progress("features", done, total, ""),
        )
        collector.finish()
        return rows.finish(), made, before

    def _recall(self, encoder: Ensemble, vectors: Floats) -> EncoderRecall:
        table = ItemTable(self._schema, self._ratings.catalogue.items)
        return EncoderRecall(table, vectors, encode_with(encoder), self._settings.train.history, self._ratings.ids)

    def _ranker(self, encoders: list[Encoder], likes: PLikeEnsemble) -> Ranker:
        """Models of P(like), trained on fit, measured on validation."""
        models = likes.fit(self._workers, lambda step, steps, note: self._progress("ranker", step, steps, note))
        self._metrics["ranker_validation"] = likes.figures(models, self._split.validation)
        near = Near(self._schema.codes, self._items.size)
        near.set_tables(likes.tables)
        order = Reranker(self._schema, self._items.size)
        return Ranker(models, near, order, Ensemble(encoders).item_vectors()).eval()

    def _order(self, ranker: Ranker, parts: list[CandidateLists]) -> None:
        """The order, learned on validation lists."""
        ranker.reranker.set_neighbours(self._neighbours(self._split.fit))
        if not parts:
            nothing = ranking_metrics.of_ranks(np.empty(0, dtype=np.int64))
            self._metrics |= {"recall_validation": nothing, "pipeline_validation": nothing}
            return
        scored = reranker_training.scored(ranker, parts)
        parts.clear()
        self._metrics |= reranker_training.fit(
            ranker.reranker,
            scored,
            self._settings.train.seed,
            lambda step, steps, loss: self._progress("order", step, steps, f"loss {loss:.3f}"),
        )

    def _write(self, encoder: Ensemble, ranker: Ranker, compared: Reference, scored: ScoredArrivals) -> Path:
        self._settings.runs.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".train-", dir=self._settings.runs))
        try:
            with self._stage("export"):
                export_encoder(encoder, made, len(self._items))
                export_ranker(self._schema, ranker, made, encoder.history)
                np.savez(made / runs.ITEMS, vector=ranker.item_vectors[1:].numpy())
                (made / runs.SCHEMA).write_text(self._schema.to_json() + "\n", "utf-8")
                (made / runs.IDS).write_text(self._ratings.ids.pack() + "\n", "utf-8")
                (made / runs.METADATA).write_bytes(self._regression.pack())
                (made / runs.REFERENCE).write_text(json.dumps(compared.as_json()) + "\n")
                scored.save(made / runs.SCORED)
            manifest = self._manifest(made)
            (made / runs.MANIFEST).write_text(runs.as_json(manifest) + "\n")
            made.chmod(0o755)
            return made.rename(self._settings.runs / manifest.run)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise

    def _manifest(self, made: Path) -> runs.Manifest:
        files = {
            path.relative_to(made).as_posix(): runs.sha256(path) for path in sorted(made.rglob("*")) if path.is_file()
        }
        created = datetime.now(UTC)
        short = hashlib.sha256("".join(files.values()).encode()).hexdigest()[:8]
        train = self._settings.train
        return runs.Manifest(
            format=runs.FORMAT,
            run=f"{created:%Y%m%dT%H%M%SZ}-{short}{runs.VALIDATION if self._validation_run else ''}",
            created=created,
            data_hash=self._data_hash,
            seed=train.seed,
            train=train.model_dump(),
            input_schema=runs.InputSchema(
                ids=list(self._schema.ids),
                dense=list(self._schema.dense_columns),
                dim=train.dim * train.encoders,
                history=train.history,
            ),
            metrics=self._metrics,
            seconds=self._seconds,
            peak_memory_mb=round(max(self._workers.peak_mb, parallel.memory_mb("self", "VmHWM")), 1),
            files=files,
            erased_to={topic: dict(offsets) for topic, offsets in self._ratings.erased_to.items()},
        )


def _require_events(ratings: Ratings, parts: Split) -> None:
    """Require events to learn from and to test on.

    Raises:
        DataError: if the split leaves none to test on, or none that is positive to learn from.
    """
    positive = int(ratings.positive[parts.fit].sum())
    if not positive or not len(parts.test):
        raise DataError(
            f"of {len(ratings)} events, {len(parts.fit)} are left to learn from, {positive} of them positive, and "
            f"{len(parts.test)} to test on, but none of the three may be 0; use more data, or change `split` or "
            "`feedback` in the description of the data set"
        )


def train(
    settings: Settings,
    progress: Progress = lambda stage, done, total, note: None,
    *,
    validation: bool = False,
) -> Path:
    """Train both models and write a run folder, all of it or nothing.

    A training that was broken off goes on from the last epoch of its encoders.

    Args:
        settings: all settings.
        progress: called as training goes on.
        validation: train on the training events alone (`offline.data.split.split_of_training`), so that
            `evaluate` can measure the run on validation events; such a run is not published.

    Returns:
        The run folder, `settings.runs / <run id>`.

    Raises:
        DataError: the events are missing, malformed or too few.
        ExportError: an exported model does not answer as the trained one.
    """
    keep_memory()
    return Training(settings, progress, validation=validation).run()
