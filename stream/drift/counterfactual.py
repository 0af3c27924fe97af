"""The list that the system would have served just before an event, made as the API makes it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from drift.events import NO_LIST
from features.ids import Id
from features.schema import Floats, Schema
from features.seen import hidden
from scoring import MISSED, Users, UserState
from stores import FeatureBatch, Profiles, Sampled, Serving
from stream.drift.earlier import EarlierCounters


class CounterfactualList:
    """Makes lists for sampled events; the user and the items' counters as before the event.

    Args:
        profiles: the state in Redis.
        counters: gives the items and their counters as they were before an event.
    """

    def __init__(self, profiles: Profiles, counters: EarlierCounters) -> None:
        self._profiles, self._counters = profiles, counters

    def __call__(self, batch: FeatureBatch, sampled: Sampled, serving: Serving, vector: Floats) -> int:
        """Rank of the event's item in the list, from 0; MISSED where it is not in it.

        NO_LIST where the item was hidden from the user, who could not have been shown it, and where the counters were
        not read before the event, as when a worker has just started.

        Raises:
            StoreError: if a store does not answer.
        """
        self._counters.read()  # for the events to come
        earlier = self._counters.before(batch.partition, int(batch.offset[sampled.place]))
        if earlier is None:
            return NO_LIST
        state = self._state(earlier.table.schema, batch, sampled)
        if batch.itemids[sampled.place] in state.exclude:
            return NO_LIST
        table, counters, serving = earlier.table, earlier.counters, replace(serving, table=earlier.table)
        wanted, known = table.find([batch.itemids[sampled.place]])
        lister = serving.lister()
        candidates = lister.candidates([state], vector[None], counters)
        if not known or wanted not in candidates.column:
            return MISSED  # which needs no ranker
        users = Users.of(table.schema, serving.ids, [state], serving.run.history)
        made = lister.ranked(users, vector[None], candidates, counters)
        return int(made.lists.rank_of(wanted)[0])

    def _state(self, schema: Schema, batch: FeatureBatch, sampled: Sampled) -> UserState:
        """The state of the user just before the event."""
        codes, ts = schema.codes, int(batch.ts[sampled.place])
        userid = batch.userids[sampled.place]
        seen = self._profiles.read_users([userid])[userid][1]
        exclude = {
            known for known, events in seen.items() if hidden(codes, (rated for rated in events if rated[0] < ts))
        }
        exclude |= {known for _, known, code in sampled.recent if codes.hides[code]}
        return state_before(schema, batch, sampled, exclude)


def state_before(schema: Schema, batch: FeatureBatch, sampled: Sampled, exclude: Collection[Id]) -> UserState:
    """The state of the user of a sampled event just before it; the features only where a list is to be made."""
    user = schema.user(batch.userids[sampled.place], sampled.attributes)
    return UserState(user, sampled.recent, sampled.user, exclude, sampled.weights)
