"""A recommendation: profile, user vector, recall, features, ranking; each with the next best answer where one is away.

Redis profile -> Triton user_encoder -> Elasticsearch terms + kNN -> Feast features -> Triton ml_rec -> list

Without Redis the list is what is popular, from memory; without Feast the features are made from the profile and the
attributes that Feast last told; without the encoder recall is by terms; without Elasticsearch it is by terms and
popularity, from memory; without the ranker the order is that of recall.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from api.attributes import Attributes
from api.breakers import Breakers
from api.items import LiveItems
from api.live import Follower, Live
from api.messages import RecommendationRequest, RequestError, Watched
from api.positions import Waits
from features import (
    DENSE_COLUMNS,
    GENRES,
    Event,
    Profile,
    Row,
    dense,
    encoder_input,
    fold,
    preferences,
    rating_input,
    user_row,
)
from features.rows import USER_ATTRIBUTES
from features.schema import Floats
from settings import Settings
from stores import Models, Profiles, Ranking, StoreError
from stores.elasticsearch import Candidate, ItemIndex
from stores.feast.feature_store import Features

T = TypeVar("T")


@dataclass
class Answer:
    """An answer in the making.

    Attributes:
        live: the run and the items that it is made with.
        breakers: of the stores.
        degraded: names of the stores that were away.
        fallback: why the list is not made from the user's own events; None where it is.
        as_of: partition, offset and event time of the state; None without a stored user.
        items: the list, best first.
    """

    live: Live
    breakers: Breakers
    degraded: list[str] = field(default_factory=list)
    fallback: str | None = None
    as_of: dict[str, int] | None = None
    items: list[dict[str, Any]] = field(default_factory=list)

    def attempt(self, store: str, function: Callable[[], T]) -> T | None:
        """The function's result; None where the store is away, which the answer then tells."""
        try:
            return self.breakers.call(store, function)
        except StoreError:
            if store not in self.degraded:
                self.degraded.append(store)
            return None

    def as_json(self) -> dict[str, Any]:
        """The answer as it is sent."""
        return {
            "item_list": self.items,
            "run": self.live.run.run,
            "as_of": self.as_of,
            "degraded": self.degraded,
            "fallback": self.fallback,
        }


class Recommender:
    """Makes recommendations; safe to share between threads."""

    def __init__(
        self,
        settings: Settings,
        follower: Follower,
        profiles: Profiles,
        features: Features,
        index: ItemIndex,
        models: Models,
        waits: Waits,
        stopped: Callable[[], Collection[int]] = tuple,
    ) -> None:
        self._settings = settings
        self._stopped = stopped
        self._follower = follower
        self._profiles = profiles
        self._features = features
        self._index = index
        self._models = models
        self._waits = waits
        self._attributes = Attributes()
        self._breakers = Breakers(settings.api.breaker_failures, settings.api.breaker_pause_s)

    def recommend(self, request: RecommendationRequest) -> Answer:
        """The list for a request.

        Raises:
            RequestError: if the request breaks a limit, or nothing is published yet.
        """
        return self.complete(request, self.begin(request))

    def begin(self, request: RecommendationRequest) -> Answer:
        """Check a request and wait for the position in `after`; nothing else is done yet.

        Raises:
            RequestError: if the request breaks a limit, or nothing is published yet.
        """
        self._check(request, self._live())
        answer = Answer(self._live(), self._breakers)
        if request.userid is not None and self._profiles.shard_of(request.userid) in self._stopped():
            answer.degraded.append("stream")
        elif request.after is not None:
            shard, offset = request.after.partition, request.after.offset
            if answer.attempt("redis", lambda: self._waits.wait_for(shard, offset)) is False:
                answer.degraded.append("stream")
            # A run may have gone live meanwhile.
            answer.live = self._live()
        return answer

    def complete(self, request: RecommendationRequest, answer: Answer) -> Answer:
        """Make the list of a request that has begun."""
        live = answer.live
        exclude = set(request.exclude)
        row: Row | None
        if request.history is not None:
            profile: Profile | None = session_profile(request.history, live.items)
            exclude.update(watched.itemid for watched in request.history)
            row = None
        else:
            assert request.userid is not None
            profile, seen = self._stored(request, answer)
            exclude.update(seen)
            row = self._user_features(request.userid, profile, answer) if profile else None
        if profile is None or not profile.recent:
            answer.fallback = answer.fallback or ("empty_history" if request.history is not None else "unknown_user")
            answer.items = [
                self._entry(live.items, itemid, score) for itemid, score in live.items.popular(request.size, exclude)
            ]
            return answer
        row = row or user_row(profile, self._attributes.of(profile.userid), live.items.items)
        self._rank(request, answer, profile, row, exclude)
        return answer

    def _live(self) -> Live:
        return self._follower.require()

    def _check(self, request: RecommendationRequest, live: Live) -> None:
        limits = self._settings.api
        if (request.userid is None) == (request.history is None):
            raise RequestError("give either userid or history")
        if request.size > limits.max_size:
            raise RequestError(f"size: input should be less than or equal to {limits.max_size}")
        for name, given in (("exclude", request.exclude), ("history", request.history or [])):
            if len(given) > limits.max_history:
                raise RequestError(f"{name}: at most {limits.max_history} entries")
        for place, watched in enumerate(request.history or []):
            if watched.itemid not in live.items.items:
                raise RequestError(f"history.{place}.itemid: {watched.itemid} is not in the catalogue")
        if request.after is not None:
            if request.userid is None:
                raise RequestError("after: needs userid")
            if request.after.partition != self._profiles.shard_of(request.userid):
                raise RequestError(
                    f"after.partition: events of user {request.userid} are in partition "
                    f"{self._profiles.shard_of(request.userid)}"
                )

    def _stored(self, request: RecommendationRequest, answer: Answer) -> tuple[Profile | None, list[int]]:
        assert request.userid is not None
        userid = request.userid
        found = answer.attempt("redis", lambda: self._profiles.profile(userid))
        if found is None:
            answer.fallback = "profile_unavailable"
            return None, []
        profile, seen, applied = found
        if applied is not None:
            answer.as_of = {
                "partition": self._profiles.shard_of(userid),
                "offset": applied,
                "ts": profile.last_ts if profile else 0,
            }
        return profile, seen

    def _user_features(self, userid: int, profile: Profile, answer: Answer) -> Row | None:
        rows = answer.attempt("feast", lambda: self._features.users([userid]))
        row = rows.get(userid) if rows else None
        if row is not None:
            self._attributes.remember(userid, row)
        return row

    def _rank(
        self, request: RecommendationRequest, answer: Answer, profile: Profile, row: Row, exclude: set[int]
    ) -> None:
        live, table = answer.live, answer.live.items
        items, liked = encoder_input(profile.recent, live.run.history)
        vectors = answer.attempt("triton", lambda: self._models.encode(items, liked, live.run.version))
        candidates = self._recall(answer, profile, vectors, exclude, request.explain)
        itemids = [candidate.itemid for candidate in candidates]
        ids = np.empty((len(itemids), 5), dtype=np.int64)
        ids[:, 0] = profile.userid
        ids[:, 1] = itemids
        ids[:, 2:] = [row[name] for name in USER_ATTRIBUTES]
        columns = {name: np.array([value], dtype=np.int64) for name, value in row.items()}
        inputs = dense(columns, table.columns(itemids))
        ranking = None
        if vectors is not None and itemids:
            rating = rating_input(profile.recent, live.run.history)
            ranking = answer.attempt(
                "triton", lambda: self._models.rank(vectors, items, rating, ids, inputs, live.run.version)
            )
        scores = ranking.score if ranking else np.linspace(0.0, -1.0, len(itemids), dtype=np.float32)
        best = np.lexsort((ids[:, 1], -scores))[: request.size]
        for place in best.tolist():
            entry = self._entry(table, itemids[place], float(scores[place]))
            if request.explain:
                entry["explain"] = explanation(candidates[place], ranking, inputs, place)
            answer.items.append(entry)

    def _recall(
        self, answer: Answer, profile: Profile, vectors: Floats | None, exclude: set[int], explain: bool
    ) -> Sequence[Candidate]:
        live, limits = answer.live, self._settings.recall
        wanted = preferences(profile.recent, live.items.items.get)
        found = answer.attempt(
            "elasticsearch",
            lambda: self._index.recall(
                live.run.index,
                len(live.items.items),
                None if vectors is None else vectors[0],
                wanted,
                exclude,
                limits,
                sources=explain,
            ),
        )
        known = [candidate for candidate in found or [] if candidate.itemid in live.items.items]
        if known:
            return known
        return recall_from_memory(live.items, wanted, exclude, limits.vector_k, limits.term_k)

    def _entry(self, table: LiveItems, itemid: int, score: float) -> dict[str, Any]:
        item = table.items[itemid]
        genres = [GENRES[genre] for genre in item.genres]
        return {"itemid": itemid, "score": score, "title": item.title, "year": item.year, "genres": genres}


def recall_from_memory(
    table: LiveItems,
    wanted: Mapping[str, Mapping[int, float]],
    exclude: set[int],
    popular_n: int,
    terms_n: int,
) -> list[Candidate]:
    """Candidates by preferred terms, then what else is popular, without Elasticsearch."""
    by_terms = table.by_terms(wanted, terms_n, exclude)
    found = [Candidate(itemid, {"terms": score}) for itemid, score in by_terms]
    popular = table.popular(popular_n, exclude | {itemid for itemid, _ in by_terms})
    return found + [Candidate(itemid, {"popular": score}) for itemid, score in popular]


def explanation(candidate: Candidate, ranking: Ranking | None, inputs: Floats, place: int) -> dict[str, Any]:
    """Where a candidate came from and what it was ranked by."""
    told: dict[str, Any] = {"sources": dict(candidate.sources)}
    if ranking is not None:
        told["next"] = float(ranking.next[place])
        told["like"] = float(ranking.like[place])
    told["features"] = dict(zip(DENSE_COLUMNS, map(float, inputs[place]), strict=True))
    return told


def session_profile(history: Iterable[Watched], table: LiveItems) -> Profile:
    """The profile that the events of a session make; one without a time happens a second after the one before."""
    profile = Profile(0)
    rated: dict[int, tuple[int, int]] = {}
    ts = 0
    for watched in history:
        ts = watched.ts if watched.ts is not None else ts + 1
        event = Event(0, watched.itemid, watched.rating, ts)
        if fold(profile, rated.get(event.itemid), event, table.items[event.itemid]):
            rated[event.itemid] = (event.ts, event.rating)
    return profile
