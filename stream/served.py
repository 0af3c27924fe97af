"""The list that the system would have served just before an event, made as the API makes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from features import Item, dense, encoder_input, merge, preferences, rating_input
from features.columns import ItemTable, user_columns
from features.schema import Floats
from settings import RecallSettings
from stores import FeatureBatch, LiveRun, Models, Profiles, Sampled
from stream.scoring import rank_of

if TYPE_CHECKING:
    from stores.catalogue import ItemIndex


class Served:
    """Makes lists for sampled events; the user as before the event, the items' counters as of now.

    Args:
        items: the catalogue.
        profiles: the state in Redis.
        index: Elasticsearch.
        models: Triton.
        recall: how many candidates.
    """

    def __init__(
        self,
        items: Mapping[int, Item],
        profiles: Profiles,
        index: ItemIndex,
        models: Models,
        recall: RecallSettings,
    ) -> None:
        self._items, self._profiles, self._index, self._models, self._recall = items, profiles, index, models, recall
        self._table = ItemTable(items)

    def __call__(self, batch: FeatureBatch, sampled: Sampled, run: LiveRun, vector: Floats) -> int:
        """Rank of the event's item in the list, from 0; MISSED where it is not in it.

        Raises:
            StoreError: if a store does not answer.
        """
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
        if itemid not in itemids:
            return rank_of(itemid, itemids, np.zeros(len(itemids), dtype=np.float32))
        partials = self._profiles.counters(itemids.tolist())
        totals = [merge(partials.get(each, [])) for each in itemids.tolist()]
        n, likes = (np.array(column, dtype=np.int64) for column in zip(*((t.n, t.likes) for t in totals), strict=True))
        user = user_columns(np.array([sampled.user], dtype=np.int64))
        ids = np.empty((len(itemids), 5), dtype=np.int64)
        ids[:, 0], ids[:, 1] = userid, itemids
        ids[:, 2:] = sampled.gender, sampled.age, sampled.occupation
        past, _ = encoder_input(sampled.recent, run.history)
        rating = rating_input(sampled.recent, run.history)
        inputs = dense(user, self._table.columns(itemids, n, likes))
        ranking = self._models.rank(vector[None], past, rating, ids, inputs, run.version)
        return rank_of(itemid, itemids, ranking.score)
