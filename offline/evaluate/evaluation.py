"""Quality on the held-out online events, replayed in time order from the state that `publish` writes.

Before each liked event the list is made that the system would have served from the events of an earlier second, over
the whole catalogue, without what the user has rated. The models are those of a run folder, run by onnxruntime; recall,
features and order are those of the API (`offline.evaluate.lists`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from features import LIKED
from offline import runs
from offline.data.history import Floats, State, replay
from offline.data.readers import Ints, Ratings, data_hash, load
from offline.data.split import Split, online_events, split, time_order
from offline.errors import RunError
from offline.evaluate import p_like
from offline.evaluate.lists import RunModels, SystemLists
from offline.evaluate.p_like import PLikeCollector
from offline.evaluate.state import START, Asked, Known, Replay
from offline.evaluate.tally import Tally, long_tail
from settings import RecallSettings, Settings

__all__ = ["Evaluation", "Report", "RunModels", "Source", "evaluate"]

DAY = 24 * 3600

Progress = Callable[[str, int, int], None]
"""Called with the stage, steps done and steps in all."""

Report = dict[str, Any]

PIPELINES = ("live", "frozen", "nightly")
"""The events that the pipeline knows: those of earlier seconds, none of the replay, those before the last midnight."""


@dataclass(frozen=True)
class Source:
    """A run and the data that it is measured on.

    Attributes:
        settings: all settings.
        manifest: the run.
        ratings, parts: the data and its split.
        models, vectors: the run's models and item vectors.
    """

    settings: Settings
    manifest: runs.Manifest
    ratings: Ratings
    parts: Split
    models: RunModels
    vectors: Floats

    @classmethod
    def open(cls, settings: Settings, run: str | None) -> Source:
        """Read the data and a run, the newest where none is named.

        Raises:
            DataError: the ratings are missing or malformed.
            RunError: there is no such run, or it was trained on other data.
        """
        path = runs.folder(settings, run)
        manifest = runs.check(path)
        ratings = load(settings)
        if data_hash(ratings) != manifest.data_hash:
            raise RunError(
                f"run {manifest.run} was trained on other data than {settings.data_folder} holds; train again"
            )
        _, vectors = runs.item_vectors(path)
        models = RunModels(path, settings.train.threads)
        return cls(settings, manifest, ratings, split(ratings, settings.data), models, vectors)

    @property
    def history(self) -> int:
        """Events that the models see."""
        return self.manifest.input_schema.history

    def targets(self, sample: int | None) -> Ints:
        """Places of the liked online events in time order, or of a sample of them; INT64."""
        order = online_events(self.ratings, self.parts)
        liked = order[self.ratings.rating[order] >= LIKED]
        if sample is None or sample >= len(liked):
            return liked
        return liked[np.sort(np.random.default_rng(self.manifest.seed).choice(len(liked), sample, replace=False))]

    def wanted(self, targets: Ints) -> Ints:
        """Column of each target's item, INT64 [targets]."""
        itemids = np.array(sorted(self.ratings.catalogue.items), dtype=np.int64)
        return np.searchsorted(itemids, self.ratings.itemid[targets])

    def lists(self, vectors: Floats | None = None, recall: RecallSettings | None = None) -> SystemLists:
        """The lists of the run; with other item vectors, FP32 [items, D + 1], or candidates where given."""
        own = self.vectors if vectors is None else vectors
        limits = recall or self.settings.recall
        return SystemLists(self.models, own, self.ratings, self.parts, self.history, limits)

    def likes(self, places: Ints) -> PLikeCollector:
        """Collects P(like) of events."""
        return PLikeCollector(self.ratings, places, self.models, self.vectors.shape[1], self.history)


@dataclass(frozen=True)
class Evaluation:
    """The figures of an evaluation.

    Attributes:
        source: of what.
        targets: places of the liked events, INT64 [T].
        tallies: by system and what it knows, as in the report: ("pipeline", "live"), ("vector", "live"), ...
        ranker: (label, P(like)) by what it was measured on.
        length: events of the user's profile before each target, INT64 [T].
        item_n: ratings of each target's item before it, INT64 [T].
    """

    source: Source
    targets: Ints
    tallies: dict[tuple[str, str], Tally]
    ranker: dict[str, tuple[Floats, Floats]]
    length: Ints
    item_n: Ints

    def report(self) -> Report:
        """The figures, as `reelstream evaluate --json` prints them."""
        lists: Report = {"sources": {}}
        for (system, knows), tally in self.tallies.items():
            if system == "likes":
                lists["popularity"]["all_time"] = tally.figures()
                continue
            of = lists if system in ("pipeline", "recall", "popularity") else lists["sources"]
            of.setdefault(system, {})[knows] = tally.figures()
        ranker = {name: p_like.figures(*pairs) for name, pairs in self.ranker.items()}
        return {"run": self.source.manifest.run, "events": len(self.targets), **lists, "ranker": ranker}


def evaluate(
    settings: Settings,
    run: str | None = None,
    sample: int | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Report:
    """Measure a run, the newest where none is named, on the liked online events or a sample of them.

    Returns:
        {"run", "events", "pipeline": {"live", "frozen", "nightly"}, "recall": {"live"}, "sources": {name: {"live"}},
        "popularity": {"live", "all_time"}, "ranker": {"test", "online_live", "online_frozen"}}.

    Raises:
        DataError: the ratings are missing or malformed.
        RunError: there is no such run, or it was trained on other data.
    """
    return measure(Source.open(settings, run), sample, progress).report()


def measure(source: Source, sample: int | None, progress: Progress) -> Evaluation:
    """Measure a run; see `evaluate`."""
    ratings, parts = source.ratings, source.parts
    targets = source.targets(sample)
    test, live, frozen = source.likes(parts.test), source.likes(parts.online), source.likes(parts.online)
    state = replay(
        ratings,
        time_order(ratings, parts.offline),
        State(ratings.catalogue),
        (test,),
        lambda done, total: progress("history", done, total),
    )
    order = online_events(ratings, parts)
    for place in order.tolist():
        frozen.visit(place, state)
    replayed = Replay(ratings, order, state, source.settings.recall.half_life_days, (live,))
    asked, rows = ask(ratings, targets)
    collected = _Collected(source, targets, rows)
    for known in replayed.at(asked, lambda done, total: progress("lists", done, total)):
        collected.add(known)
    ranker = {"test": test, "online_live": live, "online_frozen": frozen}
    return Evaluation(
        source,
        targets,
        collected.tallies,
        {name: likes.finish() for name, likes in ranker.items()},
        collected.length,
        collected.item_n,
    )


def ask(ratings: Ratings, targets: Ints) -> tuple[Asked, dict[str, Ints]]:
    """The moments of all lists, and for each of PIPELINES the moment of each target's list."""
    ts, userid = ratings.ts[targets], ratings.userid[targets]
    seconds = {"live": ts, "frozen": np.full_like(ts, START), "nightly": ts // DAY * DAY}
    all_seconds = np.concatenate([seconds[name] for name in PIPELINES])
    users = np.tile(userid, len(PIPELINES))
    asked, place = Asked.unique(all_seconds, users, np.full_like(users, -1))
    return asked, dict(zip(PIPELINES, np.split(place, len(PIPELINES)), strict=True))


class _Collected:
    """Tallies the lists of each system at each batch of moments."""

    def __init__(self, source: Source, targets: Ints, rows: dict[str, Ints]) -> None:
        self._lists, self._tail = source.lists(), long_tail(source.ratings, source.parts)
        self._wanted = source.wanted(targets)
        self._rows = rows
        self._by_row = {name: np.argsort(row, kind="stable") for name, row in rows.items()}
        self.tallies: dict[tuple[str, str], Tally] = {}
        self.length = np.zeros(len(targets), dtype=np.int64)
        self.item_n = np.zeros(len(targets), dtype=np.int64)

    def add(self, known: Known) -> None:
        parts = {name: self._targets_in(name, known) for name in PIPELINES}
        live = parts["live"]
        made = self._lists.make(known) if len(live) else {"pipeline": self._lists.pipeline(known)}
        for system, lists in made.items():
            for name in PIPELINES if system == "pipeline" else ("live",):
                target = parts[name]
                tally = self.tallies.setdefault((system, name), Tally(self._tail, len(self._wanted)))
                tally.add(lists, self._rows[name][target] - known.first, target, self._wanted[target])
        row = self._rows["live"][live] - known.first
        self.length[live] = known.events[row]
        self.item_n[live] = known.counters.n[row, self._wanted[live]]

    def _targets_in(self, name: str, known: Known) -> Ints:
        """Targets whose list is made at one of these moments."""
        order = self._by_row[name]
        bounds = np.searchsorted(self._rows[name][order], [known.first, known.first + len(known)])
        return order[bounds[0] : bounds[1]]
