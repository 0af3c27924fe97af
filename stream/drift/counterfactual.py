"""The list that the system would have served just before an event, made as the API makes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from drift.events import NO_LIST
from features import Item, dense, encoder_input, preferences, rating_input
from features.columns import ItemTable, user_columns
from features.schema import Floats
from settings import RecallSettings
from stores import FeatureBatch, LiveRun, Models, Profiles, Sampled
from stream.drift.earlier import EarlierCounters
from stream.drift.scoring import rank_of

if TYPE_CHECKING:
    from stores.elasticsearch import ItemIndex


class CounterfactualList:
    """Makes lists for sampled events; the user and the items' counters as before the event.

    Args:
        items: the catalogue.
        profiles: the state in Redis.
        counters: of the items, as they were before an event.
        index: Elasticsearch.
        models: Triton.
        recall: how many candidates.
    """

    def __init__(
        self,
        items: Mapping[int, Item],
        profiles: Profiles,
        counters: EarlierCounters,
        index: ItemIndex,
        models: Models,
        recall: RecallSettings,
    ) -> None:
        self._items, self._profiles, self._counters = items, profiles, counters
        self._index, self._models, self._recall = index, models, recall
        self._table = ItemTable(items)

    def __call__(self, batch: FeatureBatch, sampled: Sampled, run: LiveRun, vector: Floats) -> int:
        """Rank of the event's item in the list, from 0; MISSED where it is not in it.

        NO_LIST where the counters were not read before the event, as when a worker has just started.

        Raises:
            StoreError: if a store does not answer.
        """
        self._counters.read()  # for the events to come
        userid, itemid = int(batch.userid[sampled.place]), int(batch.itemid[sampled.place])
        seen = self._profiles.read_users([userid])[userid][1]
        exclude = {known for known, (ts, _) in seen.items() if ts < int(batch.ts[sampled.place])}
        exclude |= {known for _, known, _ in sampled.recent}
        candidates = self._index.recall(
            run.index,
            len(self._items),
            vector,
            preferences(sampled.recent, self._items.get),
            exclude - {itemid},
            self._recall,
        )
        itemids = np.array([each.itemid for each in candidates if each.itemid in self._items], dtype=np.int64)
        counted = self._counters.before(batch.partition, int(batch.offset[sampled.place]), itemids)
        if counted is None:
            return NO_LIST
        if itemid not in itemids:
            return rank_of(itemid, itemids, np.zeros(len(itemids), dtype=np.float32))
        user = user_columns(np.array([sampled.user], dtype=np.int64))
        ids = np.empty((len(itemids), 5), dtype=np.int64)
        ids[:, 0], ids[:, 1] = userid, itemids
        ids[:, 2:] = sampled.gender, sampled.age, sampled.occupation
        past, _ = encoder_input(sampled.recent, run.history)
        rating = rating_input(sampled.recent, run.history)
        inputs = dense(user, self._table.columns(itemids, *counted))
        ranking = self._models.rank(vector[None], past, rating, ids, inputs, run.version)
        return rank_of(itemid, itemids, ranking.score)
