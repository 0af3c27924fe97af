"""The Feast repository: entities, views and services, with a field for each count and attribute.

No time to live on the views: event times are of the years 2000 to 2003. The file sources are never read; a view needs
a batch source by Feast's data model, while rows here only ever come from the stream and from `publish`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Array, Int64

from features.counts import ATTRIBUTES_OF_USERS, USER_COUNTS, Attribute, Count
from features.declarations import TABLE
from features.rows import ITEM_FIELDS

USER_VIEW = "user"
ITEM_VIEW = "item"
USER_SERVICE = "ml_user"
ITEM_SERVICE = "ml_item"

user = Entity(name="user", join_keys=["userid"], value_type=ValueType.INT64, description="who rates")
item = Entity(name="item", join_keys=["itemid"], value_type=ValueType.INT64, description="what is rated")


def _view(name: str, entity: Entity, fields: Sequence[Count | Attribute]) -> FeatureView:
    batch = FileSource(name=f"{name}_batch", path=f"{name}.parquet", timestamp_field="event_timestamp")
    return FeatureView(
        name=name,
        entities=[entity],
        ttl=timedelta(0),
        schema=[
            Field(
                name=field.name,
                dtype=Int64 if field.length == 1 else Array(Int64),
                description=field.description,
                # The features of the ranker's dense input that are computed from it.
                tags={"features": ",".join(used)} if (used := TABLE.using(name, field.name)) else {},
            )
            for field in sorted(fields, key=lambda field: field.length > 1)
        ],
        source=PushSource(name=f"{name}_push", batch_source=batch),
        online=True,
    )


user_view = _view(USER_VIEW, user, (*ATTRIBUTES_OF_USERS, *USER_COUNTS))
item_view = _view(ITEM_VIEW, item, ITEM_FIELDS)

ml_user = FeatureService(name=USER_SERVICE, features=[user_view])
ml_item = FeatureService(name=ITEM_SERVICE, features=[item_view])

OBJECTS = [user, item, user_view, item_view, ml_user, ml_item]
"""Everything that `FeatureStore.apply` takes."""
