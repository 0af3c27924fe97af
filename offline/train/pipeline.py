"""Training: from the ratings to a run folder."""

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
from features import DENSE_COLUMNS, IDS, LIKED
from features.columns import ItemTable
from offline import runs
from offline.data.arrivals import Before, expected, unseen, without
from offline.data.history import Floats, PointInTime, State, replay
from offline.data.point_in_time import Collector, PriorStates
from offline.data.readers import Ints, data_hash, events_of_items, load
from offline.data.split import split, time_order
from offline.data.windows import by_user, sequences
from offline.models import metadata
from offline.models.encoder import Encoder, Ensemble
from offline.models.export import export_encoder, export_ranker
from offline.models.neighbours import neighbours
from offline.models.ranker import Ranker
from offline.models.reranker import Reranker
from offline.models.similar import Near
from offline.train import ensemble, parallel, reranker_training
from offline.train.allocator import keep_memory, release_memory
from offline.train.answers import catalogue_vectors, encode_with
from offline.train.encoder_training import Plan
from offline.train.lists import CandidateLists, EncoderRecall
from offline.train.p_like_ensemble import PLikeEnsemble
from offline.train.reference import ScoredArrivals, ServedModels, reference
from offline.train.validation import Validation
from settings import Settings

SAMPLE = 3000
"""Liked validation events on which the encoders are watched."""

LISTS = 10_000
"""Liked validation events on whose lists the order is learned."""

SIDE_BY_SIDE = 100_000
"""Events from which models are trained side by side: to start a process takes seconds."""

REFIT_RATE = 0.5
"""Learning rate of the passes over all offline events, as a share of the first one."""

Progress = Callable[[str, int, int, str], None]
"""Called with the stage, steps done, steps in all, and a word on how it goes."""


CHECKPOINTS = 2
"""Version of the layout of checkpoints, which names their folder: those of another version are left alone."""


class Training:
    """One training run; `train` is its way in."""

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self._settings, self._progress = settings, progress
        self._seconds: dict[str, float] = {}
        self._metrics: dict[str, dict[str, float]] = {}
        torch.manual_seed(settings.train.seed)
        if settings.train.threads:
            torch.set_num_threads(settings.train.threads)
        with self._stage("data"):
            self._ratings = load(settings)
            self._split = split(self._ratings, settings.data)
            self._data_hash = data_hash(self._ratings)
            self._arrivals = expected(self._ratings, self._split, settings.train.seed)
            self._unseen = unseen(self._ratings, self._arrivals, self._split, settings.train.seed)
            self._refitted = without(self._ratings, self._split, self._unseen)
        threads = torch.get_num_threads() if len(self._split.offline) >= SIDE_BY_SIDE else 1
        self._workers = parallel.Workers(threads)
        self._itemids = np.array(sorted(self._ratings.catalogue.items), dtype=np.int64)
        self._size = int(self._itemids[-1]) + 1
        # Without users who were erased since, the ratings are others, though of the same data set.
        erased = f" {len(self._ratings)}" if self._ratings.erased_to else ""
        training = f"{CHECKPOINTS} {self._data_hash} {settings.train.model_dump_json()}{erased}"
        key = hashlib.sha256(training.encode()).hexdigest()[:16]
        self._checkpoints = settings.state / "checkpoints" / key

    def run(self) -> Path:
        """Train, export and write the run folder."""
        with self._stage("encoder"):
            encoders = self._encoders()
        with self._stage("features"):
            dense, parts, before = self._features(Ensemble(encoders))
        with self._stage("ranker"):
            likes = PLikeEnsemble(self._ratings, self._split, dense, self._size, self._settings.train)
            ranker = self._ranker(encoders, likes)
        with self._stage("order"):
            self._order(ranker, parts)
        del dense, parts
        with self._stage("refit"):
            encoder = self._refit(encoders, ranker, likes)
        with self._stage("reference"):
            served = ServedModels(ranker, self._recall(encoder, ranker.item_vectors[self._itemids].numpy()))
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
        chosen = np.isin(known, self._liked_validation(SAMPLE))
        history = self._settings.train.history
        validation = Validation.of(
            sequences(self._ratings, self._split.train), np.flatnonzero(chosen), history, self._itemids
        )
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
            tables = neighbours(sequences(self._ratings, self._refitted), self._itemids)
            ranker.reranker.set_neighbours(tables)
        encoder = Ensemble(encoders).eval()
        vectors, table = encoder.item_vectors(), metadata.describe(self._ratings.catalogue)
        n = events_of_items(self._ratings, self._split.offline)
        vectors[self._itemids] = torch.from_numpy(metadata.settled(table, vectors[self._itemids].numpy(), n))
        ranker.item_vectors.copy_(vectors)
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
            tasks.append(ensemble.Task(weights, self._size, train, events, plan, validation, checkpoint))
        return ensemble.train(tasks, self._workers, lambda step, steps, note: self._progress(stage, step, steps, note))

    def _liked_validation(self, most: int) -> Ints:
        liked = self._split.validation[self._ratings.rating[self._split.validation] >= LIKED]
        rng = np.random.default_rng(self._settings.train.seed)
        return np.sort(rng.choice(liked, min(most, len(liked)), replace=False))

    def _features(self, encoder: Ensemble) -> tuple[Floats, list[CandidateLists], Before]:
        """Dense rows of all offline events, by `split.offline`; lists of validation; users before the arrivals."""
        ratings, parts = self._ratings, self._split
        made: list[CandidateLists] = []
        recall = self._recall(encoder.eval(), catalogue_vectors(encoder, ratings))

        def use(states: PriorStates) -> None:
            made.append(CandidateLists.of(states, ratings.itemid[states.place], recall))

        rows = PointInTime(ratings, parts.offline)
        collector = Collector(ratings, self._liked_validation(LISTS), use)
        before = Before(ratings, self._arrivals, self._unseen)
        replay(
            ratings,
            time_order(ratings, parts.offline),
            State(ratings.catalogue),
            (rows, collector, before),
            lambda done, total: self._progress("features", done, total, ""),
        )
        collector.finish()
        return rows.finish(), made, before

    def _recall(self, encoder: Ensemble, vectors: Floats) -> EncoderRecall:
        table = ItemTable(self._ratings.catalogue.items)
        return EncoderRecall(table, vectors, encode_with(encoder), self._settings.train.history)

    def _ranker(self, encoders: list[Encoder], likes: PLikeEnsemble) -> Ranker:
        """Models of P(like), trained on fit, measured on validation."""
        models = likes.fit(self._workers, lambda step, steps, note: self._progress("ranker", step, steps, note))
        self._metrics["ranker_validation"] = likes.figures(models, self._split.validation)
        near = Near(self._size)
        near.set_tables(likes.tables)
        order = Reranker(torch.from_numpy(self._itemids), self._size)
        return Ranker(models, near, order, Ensemble(encoders).item_vectors()).eval()

    def _order(self, ranker: Ranker, parts: list[CandidateLists]) -> None:
        """The order, learned on validation lists."""
        ranker.reranker.set_neighbours(neighbours(sequences(self._ratings, self._split.fit), self._itemids))
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
                export_encoder(encoder, made, self._itemids.tolist())
                export_ranker(ranker, made, self._itemids.tolist(), encoder.history)
                vectors = ranker.item_vectors[self._itemids].numpy()
                np.savez(made / runs.ITEMS, itemid=self._itemids, vector=vectors)
                (made / runs.REFERENCE).write_text(json.dumps(compared.as_json()) + "\n")
                scored.save(made / runs.SCORED)
            manifest = self._manifest(made)
            (made / runs.MANIFEST).write_text(manifest.model_dump_json(by_alias=True, indent=2) + "\n")
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
            run=f"{created:%Y%m%dT%H%M%SZ}-{short}",
            created=created,
            data_hash=self._data_hash,
            seed=train.seed,
            train=train.model_dump(),
            input_schema=runs.InputSchema(
                ids=list(IDS), dense=list(DENSE_COLUMNS), dim=train.dim * train.encoders, history=train.history
            ),
            metrics=self._metrics,
            seconds=self._seconds,
            peak_memory_mb=round(max(self._workers.peak_mb, parallel.memory_mb("self", "VmHWM")), 1),
            files=files,
            erased_to={topic: dict(offsets) for topic, offsets in self._ratings.erased_to.items()},
        )


def train(settings: Settings, progress: Progress = lambda stage, done, total, note: None) -> Path:
    """Train both models and write a run folder, all of it or nothing.

    A training that was broken off goes on from the last epoch of its encoders.

    Returns:
        The run folder, `settings.runs / <run id>`.

    Raises:
        DataError: the ratings are missing or malformed.
        ExportError: an exported model does not answer as the trained one.
    """
    keep_memory()
    return Training(settings, progress).run()
