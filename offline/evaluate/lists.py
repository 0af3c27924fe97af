"""The lists that the system would have served, made in batches as the API makes each of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from features.columns import ItemTable
from offline import runs
from offline.data.history import Floats
from offline.data.readers import Ratings
from offline.data.split import Split
from offline.data.term_prior import term_prior
from offline.evaluate.state import Known
from scoring import Candidates, ExactRecall, Lister, Lists, RankerInputs, Ranking, Users, UserState
from scoring.fallback import popular
from scoring.run_ids import RunIds
from settings import RecallSettings


class RunModels:
    """The two models of a run folder under onnxruntime.

    Args:
        path: the run folder.
        threads: CPU threads of a model; 0: all.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._encoder, self._ranker = (
            onnxruntime.InferenceSession(path / name / "model.onnx", options, providers=["CPUExecutionProvider"])
            for name in (runs.USER_ENCODER, runs.RANKER)
        )

    def encode(self, users: Users) -> Floats:
        """User vectors, FP32 [B, D + 1]."""
        vector: Floats = self._encoder.run(["user_vector"], {"items": users.items, "liked": users.liked})[0]
        return vector

    def rank(self, inputs: RankerInputs) -> Ranking:
        """The ranker's outputs for pairs of users and items."""
        return Ranking(*self._ranker.run(["score", "next", "like"], inputs.tensors()))


class SystemLists:
    """The lists of a run, and those of the systems that it is compared with.

    Args:
        models: the models of the run.
        ids: the ids that they know.
        vectors: item vectors by ascending itemid, FP32 [items, D + 1].
        ratings: the data.
        parts: its split; terms are weighed by the likes of the offline part, as `publish` does.
        history: events that the models see.
        recall: how many candidates come from which source.

    Attributes:
        table: the catalogue.
        length: longest list.
    """

    def __init__(
        self,
        models: RunModels,
        ids: RunIds,
        vectors: Floats,
        ratings: Ratings,
        parts: Split,
        history: int,
        recall: RecallSettings,
    ) -> None:
        self._models, self._ids, self._history, self._limits = models, ids, history, recall
        self._vectors = vectors
        self.table = ItemTable(ratings.schema, ratings.catalogue.items)
        weights = term_prior(ratings, parts.offline)
        self._prior = np.array([weights[itemid] for itemid in self.table.itemids], dtype=np.float32)
        self._recall = self._exact(recall)
        self._lister = self.lister()
        self.length = recall.vector_k + recall.term_k

    def lister(self, recall: RecallSettings | None = None, *, by_vector: bool = True) -> Lister:
        """The path to lists.

        Args:
            recall: how many candidates come from which source; None: as in the settings of the run.
            by_vector: whether the encoder's vectors recall candidates; the ranker reads them in any case.
        """
        limits, schema, models = recall or self._limits, self.table.schema, self._models
        exact = self._exact(limits)

        def recalled(states: Sequence[UserState], user_vectors: Floats | None) -> Candidates:
            return exact(states, user_vectors if by_vector else None)

        return Lister(schema, self.table, self._ids, self._history, limits, models.encode, recalled, models.rank)

    @property
    def vectors_alone(self) -> RecallSettings:
        """As many candidates as in the settings of the run, all of them by vector."""
        return self._limits.model_copy(update={"vector_k": self.length, "term_k": 0})

    @property
    def with_terms(self) -> RecallSettings:
        """As many candidates as in the settings of the run, at least a third of them by terms."""
        term_k = max(self._limits.term_k, self.length // 3)
        return self._limits.model_copy(update={"vector_k": self.length - term_k, "term_k": term_k})

    def _exact(self, limits: RecallSettings) -> ExactRecall:
        return ExactRecall(self.table, self._vectors, self._prior, limits)

    def make(self, known: Known) -> dict[str, Lists]:
        """The lists of every system.

        Returns:
            `pipeline`: recall by both sources, ordered by the ranker; `recall`: the same candidates by the encoder's
            score; `vector` and `terms`: the candidates of one source alone, by its own score; `popularity`: the most
            popular of all items, as the API serves where nothing is known of a user. A user without events gets the
            popular items from each of them. `likes`: all items by the number of their likes.
        """
        made = self._lister.recommend(known.users, known.counters, self.length)
        most = {"popularity": known.counters.popularity, "likes": known.counters.likes.astype(np.float64)}
        exclude = [user.exclude for user in known.users]
        whole = {name: popular(exclude, scores, self.table, self.length) for name, scores in most.items()}
        if made.user_vectors is None:
            return {**dict.fromkeys(("pipeline", "recall", "vector", "terms"), whole["popularity"]), **whole}
        products, terms = self._recall.scores(known.users, made.user_vectors)
        column = made.candidates.column
        alone = {
            "recall": Lists.ordered(column, np.take_along_axis(products, column, axis=1)),
            "vector": Lists.best(products, self._limits.vector_k),
            "terms": Lists.best(terms, self.length, above=0.0),
        }
        new = known.events == 0
        if new.any():
            alone = {name: lists.replaced(new, whole["popularity"]) for name, lists in alone.items()}
        return {"pipeline": made.lists, **alone, **whole}

    def pipeline(self, known: Known) -> Lists:
        """The list of the whole pipeline alone."""
        return self._lister.recommend(known.users, known.counters, self.length).lists

    def nearest(self, known: Known) -> Lists:
        """The nearest vectors alone."""
        vectors = self._models.encode(Users.of(known.schema, self._ids, known.users, self._history))
        return Lists.best(self._recall.scores(known.users, vectors)[0], self._limits.vector_k)
