"""The weights of terms in a profile that was saved before profiles had them.

All events that may be replaced are in the seen filter, so none is ever taken back that is not in the weights. Of types
whose events accumulate, those count that are known: the last ones, and the latest of each item and type.
"""

from __future__ import annotations

from collections.abc import Mapping

from features import Id, Items, Profile, Recent, Schema, Seen
from features.layer import item_at, published
from features.weights import Weights, weigh


def recounted(schema: Schema, profile: Profile, seen: Mapping[Id, Seen], items: Items) -> Weights:
    """The weights of the events that a profile and its seen filter know.

    Args:
        schema: of the data set.
        profile: the profile.
        seen: what is known of the user and each item.
        items: the catalogue as the shard sees it.
    """
    weights: Weights = [{} for _ in schema.terms]
    last, latest = {*profile.recent}, [(ts, itemid, code) for itemid, rated in seen.items() for ts, code in rated]
    events: list[Recent] = [*profile.recent, *(event for event in latest if event not in last)]
    for event in events:
        ts, itemid, code = event
        revision = profile.counted.get(event, 0)
        known = revision or itemid in published(items)
        item = item_at(items, itemid, revision) if known else items[itemid]
        weigh(schema.codes, weights, profile.first_ts, item.terms, ts, code, 1)
    return weights
