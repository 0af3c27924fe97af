"""The Feast repository: entities, views and services, with a field for each count and attribute.

No time to live on the views: event times may be long past. The file sources are never read; a view needs a batch source
by Feast's data model, while rows here only ever come from the stream and from `publish`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Array, Float64, Int64

from features.counts import Attribute, Count
from features.ids import IdKind
from features.rows import ITEM_VIEW, USER_VIEW
from features.schema import Schema

USER_SERVICE = "ml_user"
ITEM_SERVICE = "ml_item"

ID_TYPES = {IdKind.INTEGER: ValueType.INT64, IdKind.STRING: ValueType.STRING}


@dataclass(frozen=True)
class Repository:
    """The objects of a repository."""

    user: Entity
    item: Entity
    user_view: FeatureView
    item_view: FeatureView
    ml_user: FeatureService
    ml_item: FeatureService

    @property
    def views(self) -> tuple[FeatureView, FeatureView]:
        """The views of users and of items."""
        return self.user_view, self.item_view

    @property
    def objects(self) -> list[Entity | FeatureView | FeatureService]:
        """Everything that `FeatureStore.apply` takes."""
        return [self.user, self.item, self.user_view, self.item_view, self.ml_user, self.ml_item]


def repository(schema: Schema) -> Repository:
    """The repository of a data set."""
    user = Entity(name="user", join_keys=["userid"], value_type=ID_TYPES[schema.user_ids], description="who acts")
    item = Entity(name="item", join_keys=["itemid"], value_type=ID_TYPES[schema.item_ids], description="with what")
    user_view = _view(schema, USER_VIEW, user, schema.user_fields)
    item_view = _view(schema, ITEM_VIEW, item, schema.item_fields)
    return Repository(
        user,
        item,
        user_view,
        item_view,
        FeatureService(name=USER_SERVICE, features=[user_view]),
        FeatureService(name=ITEM_SERVICE, features=[item_view]),
    )


def _view(schema: Schema, name: str, entity: Entity, fields: Sequence[Count | Attribute]) -> FeatureView:
    batch = FileSource(name=f"{name}_batch", path=f"{name}.parquet", timestamp_field="event_timestamp")
    return FeatureView(
        name=name,
        entities=[entity],
        ttl=timedelta(0),
        schema=[
            Field(
                name=field.name,
                dtype=_type(field),
                description=field.description,
                # The features of the ranker's dense input that are computed from it.
                tags={"features": ",".join(used)} if (used := schema.table.using(name, field.name)) else {},
            )
            for field in sorted(fields, key=lambda field: field.length > 1)
        ],
        source=PushSource(name=f"{name}_push", batch_source=batch),
        online=True,
    )


def _type(field: Count | Attribute):  # type: ignore[no-untyped-def]
    if field.length > 1:
        return Array(Int64)
    return Int64 if isinstance(field, Count) or field.whole else Float64
