"""A recommendation: the user's state from Redis and Feast, and `scoring`'s list with Triton and Elasticsearch.

Redis profile -> Feast features -> Triton user_encoder -> Elasticsearch terms + kNN -> Triton ml_rec -> list

A store that is away is named in `degraded`, and the list is the next best one (`scoring.fallback`). Without Feast the
features follow from the profile and the attributes that Feast last gave.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from api.answers import AsOf, Explanation, ListedItem, Recommendation, Store
from api.attributes import Attributes
from api.breakers import Breakers
from api.live import Follower, Live
from api.log_watch import LogWatch
from api.messages import RecommendationRequest, RequestError, Watched
from api.positions import Waits
from features import DENSE_COLUMNS, GENRES, Event, Item, Profile, User, fold
from features.catalogue import UNKNOWN
from features.columns import row_values
from scoring import Fallback, Lister, Ranking, Recommendations, Source, UserState
from settings import Settings
from stores import Models, Serving, StoreError
from stores.elasticsearch import ItemIndex

T = TypeVar("T")


@dataclass
class Answer:
    """An answer in the making.

    Attributes:
        live: the run and the generation of the state that it is made with.
        breakers: of the stores.
        degraded: names of the stores that were away.
        fallback: why the list is not made from the user's own events; None where it is.
        as_of: partition, offset and event time of the state; None without a stored user.
        items: the list, best first.
    """

    live: Live
    breakers: Breakers
    degraded: list[Store] = field(default_factory=list)
    fallback: Fallback | None = None
    as_of: AsOf | None = None
    items: list[ListedItem] = field(default_factory=list)

    def attempt(self, store: Store, function: Callable[[], T]) -> T | None:
        """The function's result; None where the store is away, which the answer then tells."""
        try:
            return self.breakers.call(store, function)
        except StoreError:
            if store not in self.degraded:
                self.degraded.append(store)
            return None

    def ranking(self, rank: Callable[[], Ranking]) -> Ranking | None:
        """The order by Triton; None where it is away, or ranks by other features than are declared."""
        if self.live.not_ranked is None:
            return self.attempt("triton", rank)
        if "triton" not in self.degraded:
            self.degraded.append("triton")
        return None

    def finished(self) -> Recommendation:
        """The answer as it is sent."""
        return Recommendation(
            item_list=self.items,
            run=self.live.run.run,
            as_of=self.as_of,
            degraded=self.degraded,
            fallback=self.fallback,
        )


@dataclass(frozen=True)
class ListStores:
    """The stores that a list is made with, besides those of the state.

    Attributes:
        index: Elasticsearch.
        models: Triton.
    """

    index: ItemIndex
    models: Models


class Recommender:
    """Makes recommendations; safe to share between threads."""

    def __init__(
        self, settings: Settings, follower: Follower, stores: ListStores, waits: Waits, log_watch: LogWatch
    ) -> None:
        self._settings, self._follower, self._waits, self._log_watch = settings, follower, waits, log_watch
        self._index, self._models = stores.index, stores.models
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
        live = self._live()
        self._check(request, live)
        answer = Answer(live, self._breakers)
        if request.userid is not None and self._is_left_behind(request.userid, live):
            answer.degraded.append("stream")
        elif request.after is not None:
            shard, offset = request.after.partition, request.after.offset
            if answer.attempt("redis", lambda: self._waits.wait_for(shard, offset)) is False:
                answer.degraded.append("stream")
            # A run, or a generation of the state, may have gone live meanwhile.
            answer.live = self._live()
        return answer

    def complete(self, request: RecommendationRequest, answer: Answer) -> Answer:
        """Make the list of a request that has begun."""
        items = answer.live.items
        state = self._session(request, answer) if request.userid is None else self._stored(request.userid, answer)
        state = replace(state, exclude={*state.exclude, *request.exclude})
        made = self._lister(answer, request.explain).recommend([state], items.counters, request.size)
        explained = request.explain and made.pairs is not None
        answer.items = [
            listed_item(items.ordered[column], score, explanation(made, place) if explained else None)
            for place, (column, score) in enumerate(made.lists.entries(0))
        ]
        return answer

    def _live(self) -> Live:
        return self._follower.require()

    def _is_left_behind(self, userid: int, live: Live) -> bool:
        """Say whether no worker folds the events of a user, so that waiting for one is in vain."""
        return live.not_followed is not None or live.profiles.shard_of(userid) in self._log_watch.stopped

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
            if request.after.partition != (shard := live.profiles.shard_of(request.userid)):
                raise RequestError(f"after.partition: events of user {request.userid} are in partition {shard}")

    def _session(self, request: RecommendationRequest, answer: Answer) -> UserState:
        assert request.history is not None
        profile = session_profile(request.history, answer.live.items.items)
        if not profile.recent:
            answer.fallback = Fallback.EMPTY_HISTORY
        exclude = [watched.itemid for watched in request.history]
        return UserState.of(profile, User(profile.userid), answer.live.items.items, exclude)

    def _stored(self, userid: int, answer: Answer) -> UserState:
        found = answer.attempt("redis", lambda: answer.live.profiles.profile(userid))
        if found is None:
            answer.fallback = Fallback.PROFILE_UNAVAILABLE
            return UserState(User(userid))
        profile, seen, applied = found
        if applied is not None:
            answer.as_of = AsOf(
                partition=answer.live.profiles.shard_of(userid), offset=applied, ts=profile.last_ts if profile else 0
            )
        if profile is None or not profile.recent:
            readable = profile is not None or answer.live.profiles.readable or not seen
            answer.fallback = Fallback.UNKNOWN_USER if readable else Fallback.PROFILE_UNAVAILABLE
            return UserState(User(userid), exclude=seen)
        rows = answer.attempt("feast", lambda: answer.live.features.users([userid]))
        row = rows.get(userid) if rows else None
        if row is not None:
            user = self._attributes.remember(userid, row)
        elif (known := self._attributes.of(userid)).gender != UNKNOWN or "feast" in answer.degraded:
            user = known
        else:
            # A user who was evicted has no row.
            told = answer.attempt("redis", lambda: answer.live.profiles.attributes([userid]))
            user = told[userid] if told else known
        if row is None or answer.live.not_followed is not None:
            # The row of a state of another version may lack counts.
            return UserState.of(profile, user, answer.live.items.items, seen)
        return UserState(user, profile.recent, row_values(row), seen)

    def _lister(self, answer: Answer, explain: bool) -> Lister:
        """The path to a list, on which a store that does not answer is named in `answer`."""
        live, limits = answer.live, self._settings.recall
        serving = Serving(live.run, self._models, self._index, live.items.table, limits, sources=explain)
        return Lister(
            live.items.table,
            live.run.history,
            limits,
            lambda users: answer.attempt("triton", lambda: serving.encode(users)),
            lambda states, vectors: answer.attempt("elasticsearch", lambda: serving.recall(states, vectors)),
            lambda inputs: answer.ranking(lambda: serving.rank(inputs)),
        )


def listed_item(item: Item, score: float, explain: Explanation | None) -> ListedItem:
    """An item of a list as it is sent; without `explain` where that is None."""
    genres = [GENRES[genre] for genre in item.genres]
    if explain is None:
        return ListedItem(itemid=item.itemid, score=score, title=item.title, year=item.year, genres=genres)
    return ListedItem(itemid=item.itemid, score=score, title=item.title, year=item.year, genres=genres, explain=explain)


def explanation(made: Recommendations, place: int) -> Explanation:
    """Return the sources of the entry at a place of the first list, and what it was ranked by."""
    assert made.pairs is not None
    number = int(made.place[0, place])
    scores = {Source(name): float(column[0, number]) for name, column in made.candidates.sources.items()}
    sources = {source: score for source, score in scores.items() if not math.isnan(score)}
    features = dict(zip(DENSE_COLUMNS, made.pairs.dense[number].tolist(), strict=True))
    if made.ranking is None:
        return Explanation(sources=sources, features=features)
    ranking = made.ranking
    return Explanation(
        sources=sources, next=float(ranking.next[number]), like=float(ranking.like[number]), features=features
    )


def session_profile(history: Iterable[Watched], items: Mapping[int, Item]) -> Profile:
    """The profile that the events of a session make; one without a time happens a second after the one before."""
    profile = Profile(0)
    rated: dict[int, tuple[int, int]] = {}
    ts = 0
    for watched in history:
        ts = watched.ts if watched.ts is not None else ts + 1
        event = Event(0, watched.itemid, watched.rating, ts)
        if fold(profile, rated.get(event.itemid), event, items[event.itemid]):
            rated[event.itemid] = (event.ts, event.rating)
    return profile
