"""A recommendation: the user's state from Redis and Feast, and `scoring`'s list with Triton and Elasticsearch.

Redis profile -> Feast features -> Triton user_encoder -> Elasticsearch terms + kNN -> Triton ml_rec -> list

A store that is away is named in `degraded`, and the list is the next best one (`scoring.fallback`). Without Feast the
features follow from the profile and the attributes that Feast last gave.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from api.answers import AsOf, Explanation, ListedItem, Recommendation, Store
from api.attributes import is_known
from api.breakers import Breakers
from api.context import stored_seen, with_context
from api.data_set_answers import DataSetAnswers
from api.live import Follower, Live
from api.log_watch import LogWatch
from api.messages import RecommendationRequest, RequestError, Watched
from api.positions import Waits
from api.restrictions import restriction_of
from api.session import session_events, session_state
from api.user_vectors import UserVectors
from features import Id, Item, Items, Profile, Row, Schema, User
from features.columns import row_values
from scoring import Exploration, Fallback, Lister, Ranking, Recommendations, Source, UserState
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
        took: told of each store that is asked, and of the seconds that it took.
        degraded: names of the stores that were away.
        fallback: why the list is not made from the user's own events; None where it is.
        as_of: partition, offset and event time of the state; None without a stored user.
        items: the list, best first.
    """

    live: Live
    breakers: Breakers
    took: Callable[[str, float], None] = lambda store, seconds: None
    degraded: list[Store] = field(default_factory=list)
    fallback: Fallback | None = None
    as_of: AsOf | None = None
    items: list[ListedItem] = field(default_factory=list)

    def attempt(self, store: Store, function: Callable[[], T]) -> T | None:
        """The function's result; None where the store is away, which the answer then tells."""
        began = time.perf_counter()
        try:
            return self.breakers.call(store, function)
        except StoreError:
            if store not in self.degraded:
                self.degraded.append(store)
            return None
        finally:
            self.took(store, time.perf_counter() - began)

    def ranking(self, rank: Callable[[], Ranking]) -> Ranking | None:
        """The order by Triton; None where it is away, or ranks by other features than are declared."""
        if self.live.not_ranked is None:
            return self.attempt("triton", rank)
        if "triton" not in self.degraded:
            self.degraded.append("triton")
        return None

    def finished(self) -> Recommendation:
        """The answer as it is sent."""
        return self.live.data_set.answers.recommendation(
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
        self,
        settings: Settings,
        follower: Follower,
        stores: ListStores,
        waits: Waits,
        log_watch: LogWatch,
        took: Callable[[str, float], None],
    ) -> None:
        self._settings, self._follower, self._waits, self._log_watch = settings, follower, waits, log_watch
        self._index, self._models = stores.index, stores.models
        self._vectors = UserVectors()
        self._took = took
        self._breakers = Breakers(settings.api.breaker_failures, settings.api.breaker_pause_s)

    def recommend(self, request: RecommendationRequest) -> Answer:
        """The list for a request.

        Raises:
            RequestError: if the request breaks a limit, or nothing is published yet.
        """
        return self.complete(request, self.begin(request))

    def check(self, request: RecommendationRequest) -> None:
        """Check a request alone.

        Raises:
            RequestError: if the request breaks a limit, or nothing is published yet.
        """
        self._check(request, self._live())

    def begin(self, request: RecommendationRequest, began: float | None = None) -> Answer:
        """Check a request and wait for the position in `after`; nothing else is done yet.

        Args:
            request: the request.
            began: when the wait for it began (`time.monotonic`); None: now.

        Raises:
            RequestError: if the request breaks a limit, or nothing is published yet.
        """
        live = self._live()
        self._check(request, live)
        answer = Answer(live, self._breakers)
        if request.userid is not None and self._is_left_behind(request.userid, live):
            answer.degraded.append("stream")
        elif request.userid is not None and (
            awaited := request.awaited(shard := live.profiles.shard_of(request.userid))
        ):
            if answer.attempt("redis", lambda: self._waits.wait_for(shard, awaited.offset, began)) is False:
                answer.degraded.append("stream")
            # A run, or a generation of the state, may have gone live meanwhile.
            answer.live = self._live()
        return answer

    def complete(self, request: RecommendationRequest, answer: Answer) -> Answer:
        """Make the list of a request that has begun."""
        answer.took = self._took
        items = answer.live.items
        if request.userid is None:
            state = self._session(request, answer)
        else:
            state = self._stored(request.userid, request.context, answer)
        state = replace(
            state,
            exclude={*state.exclude, *request.exclude},
            restriction=restriction_of(answer.live.schema, request),
            exploration=exploration_of(self._settings.recall.explore_share, request.userid, state, answer.as_of),
        )
        made = self._lister(answer, request.explain).recommend([state], items.counters, request.size)
        explained = request.explain and made.pairs is not None
        answer.items = [
            listed_item(
                answer.live.data_set.answers,
                items.ordered[column],
                score,
                explanation(answer.live.schema, made, place) if explained else None,
            )
            for place, (column, score) in enumerate(made.lists.entries(0))
        ]
        return answer

    def _live(self) -> Live:
        return self._follower.require()

    def _is_left_behind(self, userid: Id, live: Live) -> bool:
        """Say whether no worker folds the events of a user, so that waiting for one is in vain."""
        return live.not_followed is not None or live.profiles.shard_of(userid) in self._log_watch.stopped

    def _check(self, request: RecommendationRequest, live: Live) -> None:
        limits = self._settings.api
        if (request.userid is None) == (request.history is None):
            raise RequestError("give either userid or history")
        if request.size > limits.max_size:
            raise RequestError(f"size: input should be less than or equal to {limits.max_size}")
        if request.context is not None and request.userid is None:
            raise RequestError("context: needs userid")
        sessions = {"history": request.history or [], "context": request.context or []}
        lengths = {"exclude": len(request.exclude)} | {name: len(entries) for name, entries in sessions.items()}
        for name, length in lengths.items():
            if length > limits.max_history:
                raise RequestError(f"{name}: at most {limits.max_history} entries")
        for name, entries in sessions.items():
            for place, watched in enumerate(entries):
                if watched.itemid not in live.items.items:
                    raise RequestError(f"{name}.{place}.itemid: {watched.itemid} is not in the catalogue")
        restriction_of(live.schema, request)
        if request.after is not None:
            if request.userid is None:
                raise RequestError("after: needs userid")
            if request.awaited(shard := live.profiles.shard_of(request.userid)) is None:
                name = "after" if isinstance(request.after, list) else "after.partition"
                raise RequestError(f"{name}: events of user {request.userid} are in partition {shard}")

    def _session(self, request: RecommendationRequest, answer: Answer) -> UserState:
        assert request.history is not None
        live = answer.live
        events = session_events(live.data_set, request.history)
        if not events:
            answer.fallback = Fallback.EMPTY_HISTORY
        return session_state(live.schema, events, live.items.items)

    def _stored(self, userid: Id, context: Sequence[Watched] | None, answer: Answer) -> UserState:
        live = answer.live
        profile, hides = self._read(userid, answer)
        row, user = None, live.schema.user(userid)
        if profile is not None:
            rows = answer.attempt("feast", lambda: live.features.users([userid]))
            row = rows.get(userid) if rows else None
            user = self._user(userid, row, answer)
        items: Items | None = live.items.items
        if profile is not None and (row is None or context or live.not_followed is not None):
            items = self._items_of(profile, answer)
        if items is None:
            return UserState(user, exclude=[itemid for itemid, is_hidden in hides.items() if is_hidden])
        if context:
            profile, hides = with_context(
                live.data_set,
                items,
                profile or live.schema.profile(userid),
                hides,
                context,
                lambda: answer.attempt("redis", lambda: stored_seen(live.profiles, userid)) or {},
            )
            if answer.fallback is Fallback.UNKNOWN_USER:
                answer.fallback = None
        exclude = [itemid for itemid, is_hidden in hides.items() if is_hidden]
        if profile is None:
            return UserState(user, exclude=exclude)
        if row is None or context or live.not_followed is not None:
            # The row knows nothing of the context, and that of a state of another version may lack counts.
            return UserState.of(live.schema, profile, user, items, exclude)
        return UserState(user, profile.recent, row_values(live.schema, row), exclude, profile.weights)

    def _items_of(self, profile: Profile, answer: Answer) -> Items | None:
        """The items, with all that a profile was counted under; None where Redis does not tell, as the answer says."""
        items = answer.attempt("redis", lambda: answer.live.items_of(profile))
        if items is None:
            answer.fallback = Fallback.PROFILE_UNAVAILABLE
        return items

    def _read(self, userid: Id, answer: Answer) -> tuple[Profile | None, Mapping[Id, bool]]:
        """A profile, None without an event that lists are made from; the items met, and whether they are hidden."""
        live = answer.live
        found = answer.attempt("redis", lambda: live.stored(userid))
        if found is None:
            answer.fallback = Fallback.PROFILE_UNAVAILABLE
            return None, {}
        profile, seen, applied, withdrawn = found
        hides = {**seen, **dict.fromkeys(withdrawn, True)}
        if applied is not None:
            shard = live.profiles.shard_of(userid)
            answer.as_of = AsOf(partition=shard, offset=applied, ts=profile.last_ts if profile else 0)
        if profile is not None and profile.recent:
            return profile, hides
        readable = profile is not None or live.profiles.readable or not seen
        answer.fallback = Fallback.UNKNOWN_USER if readable else Fallback.PROFILE_UNAVAILABLE
        return None, hides

    def _user(self, userid: Id, row: Row | None, answer: Answer) -> User:
        """A user with the attributes in the feature row; without one, as they were last seen, or as Redis has them."""
        live = answer.live
        if row is not None:
            return live.data_set.attributes.remember(userid, row)
        seen = live.data_set.attributes.of(userid)
        if is_known(seen) or "feast" in answer.degraded:
            return seen
        # A user who was evicted has no row.
        stored = answer.attempt("redis", lambda: live.profiles.attributes([userid]))
        return stored[userid] if stored else seen

    def _lister(self, answer: Answer, explain: bool) -> Lister:
        """The path to a list, on which a store that does not answer is named in `answer`."""
        live, limits = answer.live, self._settings.recall
        serving = Serving(live.run, live.ids, self._models, self._index, live.items.table, limits, sources=explain)
        return Lister(
            live.schema,
            live.items.table,
            live.ids,
            live.run.history,
            limits,
            lambda users: self._vectors.of(
                live.run.run, users, lambda users: answer.attempt("triton", lambda: serving.encode(users))
            ),
            lambda states, vectors: answer.attempt("elasticsearch", lambda: serving.recall(states, vectors)),
            lambda inputs: answer.ranking(lambda: serving.rank(inputs)),
        )


def exploration_of(share: float, userid: Id | None, state: UserState, as_of: AsOf | None) -> Exploration | None:
    """The exploration in a list: the same for as long as the user's partition, or the session, stays as it is."""
    if not share:
        return None
    if userid is None:
        return Exploration.of(share, list(state.recent))
    return Exploration.of(share, userid, as_of.offset if as_of else None)


def listed_item(answers: DataSetAnswers, item: Item, score: float, explain: Explanation | None) -> ListedItem:
    """An item of a list as it is sent; without `explain` where that is None."""
    fields = answers.listed(item)
    if explain is not None:
        fields["explain"] = explain
    return answers.listed_item(itemid=item.itemid, score=score, title=item.name, **fields)


def explanation(schema: Schema, made: Recommendations, place: int) -> Explanation:
    """Return the sources of the entry at a place of the first list, and what it was ranked by."""
    assert made.pairs is not None
    number = int(made.place[0, place])
    scores = {Source(name): float(column[0, number]) for name, column in made.candidates.sources.items()}
    sources = {source: score for source, score in scores.items() if not math.isnan(score)}
    features = dict(zip(schema.dense_columns, made.pairs.dense[number].tolist(), strict=True))
    if made.ranking is None:
        return Explanation(sources=sources, features=features)
    ranking = made.ranking
    return Explanation(
        sources=sources, next=float(ranking.next[number]), like=float(ranking.like[number]), features=features
    )
