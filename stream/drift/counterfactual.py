"""The list that the system would have served just before an event, made as the API makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drift.events import NO_LIST
from features import User
from features.columns import ItemTable
from features.schema import Floats
from scoring import MISSED, Users, UserState
from scoring.inputs import NO_EVENTS
from settings import RecallSettings
from stores import FeatureBatch, LiveRun, Models, Profiles, Sampled, Serving
from stream.drift.earlier import EarlierCounters

if TYPE_CHECKING:
    from stores.elasticsearch import ItemIndex


class CounterfactualList:
    """Makes lists for sampled events; the user and the items' counters as before the event.

    Args:
        table: the catalogue.
        profiles: the state in Redis.
        counters: of the items, as they were before an event.
        index: Elasticsearch.
        models: Triton.
        recall: how many candidates.
    """

    def __init__(
        self,
        table: ItemTable,
        profiles: Profiles,
        counters: EarlierCounters,
        index: ItemIndex,
        models: Models,
        recall: RecallSettings,
    ) -> None:
        self._table, self._profiles, self._counters = table, profiles, counters
        self._index, self._models, self._recall = index, models, recall

    def __call__(self, batch: FeatureBatch, sampled: Sampled, run: LiveRun, vector: Floats) -> int:
        """Rank of the event's item in the list, from 0; MISSED where it is not in it.

        NO_LIST where the counters were not read before the event, as when a worker has just started.

        Raises:
            StoreError: if a store does not answer.
        """
        self._counters.read()  # for the events to come
        counters = self._counters.before(batch.partition, int(batch.offset[sampled.place]))
        if counters is None:
            return NO_LIST
        wanted, known = self._table.find(batch.itemid[[sampled.place]])
        lister = Serving(run, self._models, self._index, self._table, self._recall).lister()
        states = [self._state(batch, sampled)]
        candidates = lister.candidates(states, vector[None], counters)
        if not known or wanted not in candidates.column:
            return MISSED  # which needs no ranker
        made = lister.ranked(Users.of(states, run.history), vector[None], candidates, counters)
        return int(made.lists.rank_of(wanted)[0])

    def _state(self, batch: FeatureBatch, sampled: Sampled) -> UserState:
        userid, itemid, ts = (int(column[sampled.place]) for column in (batch.userid, batch.itemid, batch.ts))
        seen = self._profiles.read_users([userid])[userid][1]
        exclude = {known for known, (rated_ts, _) in seen.items() if rated_ts < ts}
        exclude |= {known for _, known, _ in sampled.recent}
        return state_before(batch, sampled, exclude - {itemid})


def state_before(batch: FeatureBatch, sampled: Sampled, exclude: set[int]) -> UserState:
    """The state of the user of a sampled event just before it; the features only where a list is to be made."""
    user = User(int(batch.userid[sampled.place]), sampled.gender, sampled.age, sampled.occupation)
    return UserState(user, sampled.recent, sampled.user or NO_EVENTS, exclude)
