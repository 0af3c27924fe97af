"""Training: from the ratings to a run folder."""

from __future__ import annotations

import hashlib
import json
import resource
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
from features import DENSE_COLUMNS, IDS
from offline import encoder_training, lists, metrics, ranker_training, runs
from offline.allocator import keep_memory
from offline.data import Ints, data_hash, load
from offline.encoder import Encoder
from offline.export import export_encoder, export_ranker
from offline.history import Floats, PointInTime, State, replay
from offline.mixing import choose_weight, head_values, validation_ranks
from offline.moments import Collector, Moments
from offline.ranker import Ranker
from offline.split import split, time_order
from offline.windows import sequences
from settings import Settings

SAMPLE = 3000
"""Liked validation events on which the encoder is watched and the ranker's weight is chosen."""

Progress = Callable[[str, int, int, str], None]
"""Called with the stage, steps done, steps in all, and a word on how it goes."""


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
        self._itemids = np.array(sorted(self._ratings.catalogue.items), dtype=np.int64)

    def run(self) -> Path:
        """Train, export and write the run folder."""
        with self._stage("features"):
            dense, moments = self._features()
        with self._stage("encoder"):
            encoder = self._encoder(moments)
        with self._stage("ranker"):
            ranker = self._ranker(encoder, dense)
        with self._stage("weight"):
            self._weight(encoder, ranker, moments)
        return self._write(encoder, ranker, dense, moments)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        self._progress(name, 0, 1, "")
        start = time.monotonic()
        yield
        self._seconds[name] = round(time.monotonic() - start, 2)
        self._progress(name, 1, 1, "")

    def _features(self) -> tuple[Floats, list[Moments]]:
        ratings, parts = self._ratings, self._split
        rng = np.random.default_rng(self._settings.train.seed)
        liked = parts.validation[ranker_training.labels(ratings, parts.validation) == 1]
        moments: list[Moments] = []
        rows = PointInTime(ratings, parts.offline)
        sample = rng.choice(liked, min(SAMPLE, len(liked)), replace=False)
        collector = Collector(ratings, np.sort(sample), moments.append, self._settings.train.history)
        replay(
            ratings,
            time_order(ratings, parts.offline),
            State(ratings.catalogue),
            (rows, collector),
            lambda done, total: self._progress("features", done, total, ""),
        )
        collector.finish()
        return rows.finish(), moments

    def _encoder(self, moments: list[Moments]) -> Encoder:
        events = sequences(self._ratings, self._split.fit)
        size = int(self._itemids[-1]) + 1
        model = Encoder(torch.from_numpy(np.unique(events.itemid)), size, self._settings.train)
        note = ""

        def epoch_done(epoch: int) -> None:
            nonlocal note
            ranks = validation_ranks(model, self._ratings, moments)
            self._metrics[f"encoder_epoch_{epoch}"] = metrics.of_ranks(ranks)
            note = f"HR@10 {self._metrics[f'encoder_epoch_{epoch}']['hr@10']:.3f}"

        def step_done(step: int, steps: int, loss: float) -> None:
            self._progress("encoder", step, steps, f"loss {loss:.3f} {note}".rstrip())

        encoder_training.fit(model, events, self._settings.train, step_done, epoch_done)
        return model

    def _ranker(self, encoder: Encoder, dense: Floats) -> Ranker:
        fitted = dense[: len(self._split.fit)]
        model = Ranker(
            max(self._ratings.catalogue.users) + 1,
            encoder.item_vectors(),
            torch.from_numpy(fitted.mean(0)),
            torch.from_numpy(fitted.std(0)),
        )
        ranker_training.fit(
            model,
            self._ids(self._split.fit),
            fitted,
            ranker_training.labels(self._ratings, self._split.fit),
            self._settings.train,
            lambda step, steps, loss: self._progress("ranker", step, steps, f"loss {loss:.3f}"),
        )
        start = len(fitted)
        for name, places in (("ranker_validation", self._split.validation), ("ranker_test", self._split.test)):
            label = ranker_training.labels(self._ratings, places)
            like = ranker_training.like(model, self._ids(places), dense[start : start + len(places)])
            self._metrics[name] = {"auc": metrics.auc(label, like), "logloss": metrics.logloss(label, like)}
            start += len(places)
        return model

    def _weight(self, encoder: Encoder, ranker: Ranker, moments: list[Moments]) -> None:
        weight, chosen, alone = choose_weight(encoder, ranker, self._ratings, moments)
        ranker.weight.fill_(weight)
        self._metrics["recall_validation"] = alone
        self._metrics["pipeline_validation"] = chosen | {"weight": weight}

    def _ids(self, places: Ints) -> Ints:
        return lists.pair_ids(self._ratings.catalogue, self._ratings.userid[places], self._ratings.itemid[places])

    def _write(self, encoder: Encoder, ranker: Ranker, dense: Floats, moments: list[Moments]) -> Path:
        self._settings.runs.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".train-", dir=self._settings.runs))
        try:
            with self._stage("export"):
                export_encoder(encoder, made, self._itemids.tolist())
                export_ranker(ranker, made, self._itemids.tolist())
                vectors = encoder.item_vectors().numpy()[self._itemids]
                np.savez(made / runs.ITEMS, itemid=self._itemids, vector=vectors)
                fitted = dense[: len(self._split.fit)]
                features = {name: fitted[:, place] for place, name in enumerate(DENSE_COLUMNS)}
                scores = head_values(encoder, ranker, self._ratings, moments)
                reference = Reference.of(features, scores)
                (made / runs.REFERENCE).write_text(json.dumps(reference.as_json()) + "\n")
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
            run=f"{created:%Y%m%dT%H%M%SZ}-{short}",
            created=created,
            data_hash=data_hash(self._ratings),
            seed=train.seed,
            train=train.model_dump(),
            input_schema=runs.InputSchema(
                ids=list(IDS), dense=list(DENSE_COLUMNS), dim=train.dim, history=train.history
            ),
            metrics=self._metrics,
            seconds=self._seconds,
            # ru_maxrss is in KiB on Linux.
            peak_memory_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            files=files,
        )


def train(settings: Settings, progress: Progress = lambda stage, done, total, note: None) -> Path:
    """Train both models and write a run folder, all of it or nothing.

    Returns:
        The run folder, `settings.runs / <run id>`.

    Raises:
        DataError: the ratings are missing or malformed.
        ExportError: an exported model does not answer as the trained one.
    """
    keep_memory()
    return Training(settings, progress).run()
