"""Quality on the held-out online events, replayed in time order from the state that `publish` writes.

Before each discovery (`offline.data.discoveries`) the list is made that the system would have served from the events of
an earlier second, over the whole catalogue, without what is hidden from the user. The models are those of a run folder,
run by onnxruntime; recall, features and order are those of the API (`offline.evaluate.lists`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from offline import runs
from offline.data.history import Floats, State, replay
from offline.data.readers import Ints, Ratings, data_hash, load
from offline.data.split import Split, online_events, split, split_of_training, time_order
from offline.errors import RunError
from offline.evaluate import p_like
from offline.evaluate.exploration import Exploring
from offline.evaluate.groups import CUT_USERS, Groups, cut, members_of
from offline.evaluate.item_knn import ItemKnn
from offline.evaluate.lists import RunModels, SystemLists
from offline.evaluate.p_like import PLikeCollector
from offline.evaluate.state import START, Asked, Known, Replay
from offline.evaluate.tally import Tally, long_tail
from scoring.run_ids import RunIds
from settings import RecallSettings, Settings

__all__ = ["Evaluation", "Report", "RunModels", "Source", "evaluate"]

DAY = 24 * 3600

Progress = Callable[[str, int, int], None]
"""Called with the stage, steps done and steps in all."""

Report = dict[str, Any]

ITEM_KNN = "item_knn"
"""The baseline of `offline.evaluate.item_knn`."""

EXPLORATION = "exploration"
"""The lists of the pipeline, in which a share of the positions explores (`offline.evaluate.exploration`)."""

PIPELINES = ("live", "frozen", "nightly")
"""The events that the pipeline knows: those of earlier seconds, none of the replay, those before the last midnight."""


@dataclass(frozen=True)
class Source:
    """A run and the data that it is measured on.

    Attributes:
        settings: all settings.
        manifest: the run.
        ratings, parts: the data and its split.
        models, ids, vectors: the run's models, the ids that they know, and its item vectors.
    """

    settings: Settings
    manifest: runs.Manifest
    ratings: Ratings
    parts: Split
    models: RunModels
    ids: RunIds
    vectors: Floats

    @classmethod
    def open(cls, settings: Settings, run: str | None, *, validation: bool = False) -> Source:
        """Read the data and a run, the newest where none is named.

        Args:
            settings: all settings.
            run: its name; None: the newest.
            validation: take a run that has seen the training events alone, and the validation events of these as the
                online ones.

        Raises:
            DataError: the ratings are missing or malformed.
            RunError: there is no such run, or it was trained on other data or with another description.
        """
        path = runs.folder(settings, run, validation=validation)
        manifest = runs.check(path)
        ratings = load(settings)
        if data_hash(ratings) != manifest.data_hash:
            raise RunError(
                f"run {manifest.run} was trained on other data than {settings.data_folder} holds; train again"
            )
        if runs.schema(path) != ratings.schema:
            raise RunError(
                f"run {manifest.run} was trained with another description than {settings.dataset}, or with other "
                "values of its attributes; train again"
            )
        itemids, vectors = runs.item_vectors(path)
        assert itemids == ratings.items.ids, "runs of one data set have its items"
        models = RunModels(path, settings.train.threads)
        parts = (split_of_training if validation else split)(ratings, settings.data)
        return cls(settings, manifest, ratings, parts, models, runs.ids(path), vectors)

    @property
    def history(self) -> int:
        """Events that the models see."""
        return self.manifest.input_schema.history

    def targets(self, sample: int | None) -> Ints:
        """Places of the online discoveries in time order, or of a sample of them; INT64.

        Raises:
            RunError: there is none.
        """
        order = online_events(self.ratings, self.parts)
        found = order[self.ratings.targets(order)]
        if not len(found):
            raise RunError(
                "no held-out event is the first of a user with an item that the user then likes; hold out more with "
                "`[split]` in the description, or with data.online_events"
            )
        if sample is None or sample >= len(found):
            return found
        return found[np.sort(np.random.default_rng(self.manifest.seed).choice(len(found), sample, replace=False))]

    def wanted(self, targets: Ints) -> Ints:
        """Column of each target's item, INT64 [targets]."""
        return self.ratings.item[targets] - 1

    def lists(self, vectors: Floats | None = None, recall: RecallSettings | None = None) -> SystemLists:
        """The lists of the run; with other item vectors, FP32 [items, D + 1], or candidates where given."""
        own = self.vectors if vectors is None else vectors
        limits = recall or self.settings.recall
        return SystemLists(self.models, self.ids, own, self.ratings, self.parts, self.history, limits)

    @property
    def list_size(self) -> int:
        """Longest list that is made."""
        return self.settings.recall.vector_k + self.settings.recall.term_k

    def likes(self, places: Ints) -> PLikeCollector:
        """Collects P(like) of events."""
        return PLikeCollector(self.ratings, places, self.models, self.ids, self.vectors.shape[1], self.history)


@dataclass(frozen=True)
class Evaluation:
    """The figures of an evaluation.

    Attributes:
        source: of what.
        targets: places of the discoveries, INT64 [T].
        tallies: by system and what it knows, as in the report: ("pipeline", "live"), ("vector", "live"), ...
        ranker: (label, P(like)) by what it was measured on.
        length: events of the user's profile before each target, INT64 [T].
        item_n: count of each target's item before it, INT64 [T].
        exploring: the exploration that was measured.
        groups: the sources of candidates for users and items with few events.
    """

    source: Source
    targets: Ints
    tallies: dict[tuple[str, str], Tally]
    ranker: dict[str, tuple[Floats, Floats]]
    length: Ints
    item_n: Ints
    exploring: Exploring
    groups: Groups

    def report(self) -> Report:
        """The figures, as `reelstream evaluate --json` prints them."""
        lists: Report = {"sources": {}, "baselines": {}}
        for (system, knows), tally in self.tallies.items():
            if system == "likes":
                lists["popularity"]["all_time"] = tally.figures()
                continue
            if system == EXPLORATION:
                lists[EXPLORATION] = self.exploring.report(tally, self.tallies["pipeline", knows])
                continue
            group = lists["baselines"] if system == ITEM_KNN else lists["sources"]
            of = lists if system in ("pipeline", "recall", "popularity") else group
            of.setdefault(system, {})[knows] = tally.figures()
        ranker = {name: p_like.figures(*pairs) for name, pairs in self.ranker.items()}
        run, groups = self.source.manifest.run, self.groups.report()
        return {"run": run, "events": len(self.targets), **lists, "groups": groups, "ranker": ranker}


def evaluate(
    settings: Settings,
    run: str | None = None,
    sample: int | None = None,
    progress: Progress = lambda stage, done, total: None,
    *,
    validation: bool = False,
) -> Report:
    """Measure a run, the newest where none is named, on the online discoveries or a sample of them.

    With `validation`, one that has seen the training events alone is measured on the validation events of these.

    Returns:
        {"run", "events", "pipeline": {"live", "frozen", "nightly"}, "recall": {"live"}, "sources": {name: {"live"}},
        "baselines": {"item_knn": {"live"}}, "popularity": {"live", "all_time"},
        "exploration": {"share", "with", "without"}, "groups": {"users", "cut_users", "items"},
        "ranker": {"test", "online_live", "online_frozen"}}.

    Raises:
        DataError: the ratings are missing or malformed.
        RunError: there is no such run, or it was trained on other data.
    """
    return measure(Source.open(settings, run, validation=validation), sample, progress).report()


def measure(source: Source, sample: int | None, progress: Progress) -> Evaluation:
    """Measure a run; see `evaluate`."""
    ratings, parts = source.ratings, source.parts
    targets = source.targets(sample)
    test, live, frozen = source.likes(parts.test), source.likes(parts.online), source.likes(parts.online)
    state = replay(
        ratings,
        time_order(ratings, parts.offline),
        State(ratings.schema, ratings.catalogue),
        (test,),
        lambda done, total: progress("history", done, total),
    )
    order = online_events(ratings, parts)
    for place in order.tolist():
        frozen.visit(place, state)
    replayed = Replay(ratings, order, state, source.settings.recall.half_life_days, (live,))
    asked, rows = ask(ratings, targets, cut(len(targets), source.manifest.seed))
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
        collected.exploring,
        collected.groups,
    )


def ask(ratings: Ratings, targets: Ints, left: Ints) -> tuple[Asked, dict[str, Ints]]:
    """The moments of all lists, and the moment of each target's list: for each of PIPELINES, and for CUT_USERS.

    Args:
        ratings: the events.
        targets: places of the discoveries, INT64 [T].
        left: events that are left of the user in the list of CUT_USERS; where that is 0 there is no such list, and its
            moment is -1. INT64 [T].
    """
    ts, user, is_cut = ratings.ts[targets], ratings.user[targets], left > 0
    seconds = {"live": ts, "frozen": np.full_like(ts, START), "nightly": ts // DAY * DAY}
    all_seconds = np.concatenate([*(seconds[name] for name in PIPELINES), ts[is_cut]])
    users = np.concatenate([np.tile(user, len(PIPELINES)), user[is_cut]])
    last = np.concatenate([np.full(len(PIPELINES) * len(targets), -1), left[is_cut]])
    asked, place = Asked.unique(all_seconds, users, last)
    *places, of_cut = np.split(place, np.arange(1, len(PIPELINES) + 1) * len(targets))
    rows = dict(zip(PIPELINES, places, strict=True))
    rows[CUT_USERS] = np.full(len(targets), -1)
    rows[CUT_USERS][is_cut] = of_cut
    return asked, rows


class _Collected:
    """Tallies the lists of each system at each batch of moments."""

    def __init__(self, source: Source, targets: Ints, rows: dict[str, Ints]) -> None:
        self._lists, self._tail = source.lists(), long_tail(source.ratings, source.parts)
        self.groups = Groups(self._lists, source.wanted(targets))
        self._knn, self._size = ItemKnn.of(source.ratings, source.parts.offline), source.list_size
        self.exploring = Exploring(source.ratings, source.settings.recall.explore_share)
        self._wanted = source.wanted(targets)
        self._rows = rows
        self._by_row = {name: np.argsort(row, kind="stable") for name, row in rows.items()}
        self.tallies: dict[tuple[str, str], Tally] = {}
        self.length = np.zeros(len(targets), dtype=np.int64)
        self.item_n = np.zeros(len(targets), dtype=np.int64)

    def add(self, known: Known) -> None:
        parts = {name: self._targets_in(name, known) for name in PIPELINES}
        live = parts["live"]
        if len(live):
            made = {**self._lists.make(known), ITEM_KNN: self._knn.lists(known.users, self._size)}
            rows = {*(self._rows["live"][live] - known.first).tolist()}
            made[EXPLORATION] = self.exploring.lists(known, made["pipeline"], rows)
        else:
            made = {"pipeline": self._lists.pipeline(known)}
        for system, lists in made.items():
            for name in PIPELINES if system == "pipeline" else ("live",):
                target = parts[name]
                tally = self.tallies.setdefault((system, name), Tally(self._tail, len(self._wanted)))
                tally.add(lists, self._rows[name][target] - known.first, target, self._wanted[target])
        row = self._rows["live"][live] - known.first
        self.length[live] = known.events[row]
        self.item_n[live] = known.counters.n[row, self._wanted[live]]
        is_cut = self._targets_in(CUT_USERS, known)
        of_cut = self._rows[CUT_USERS][is_cut] - known.first, is_cut
        self.groups.add(known, members_of(known, (row, live), of_cut, self._wanted))

    def _targets_in(self, name: str, known: Known) -> Ints:
        """Targets whose list is made at one of these moments."""
        order = self._by_row[name]
        bounds = np.searchsorted(self._rows[name][order], [known.first, known.first + len(known)])
        return order[bounds[0] : bounds[1]]
