"""The Feast views: a described field for each field of a row."""

from __future__ import annotations

from feast import ValueType
from feast.types import Float64

from features.repository import repository
from tests import shop
from tests.movielens import SCHEMA


def test_a_view_has_a_described_field_for_every_field_of_its_rows() -> None:
    for schema in (SCHEMA, shop.SCHEMA):
        views = repository(schema)
        for view, declared in ((views.user_view, schema.user_fields), (views.item_view, schema.item_fields)):
            fields = {field.name: field for field in view.features}
            assert {*fields} == {field.name for field in declared}
            assert all(field.description.endswith(".") for field in fields.values())


def test_a_field_names_the_features_that_are_computed_from_it() -> None:
    fields = {field.name: field.tags.get("features", "").split(",") for field in repository(SCHEMA).user_view.features}
    for feature in SCHEMA.table.features:
        for side, count in feature.inputs:
            assert side == "item" or feature.name in fields[count]
    assert fields["genre_n30"] == ["genre_affinity30", "genre_exposure30"]
    assert fields["gender"] == [""]


def test_entities_and_numbers_have_the_types_of_the_data_set() -> None:
    assert {repository(SCHEMA).user.value_type, repository(SCHEMA).item.value_type} == {ValueType.INT64}
    views = repository(shop.SCHEMA)
    assert {views.user.value_type, views.item.value_type} == {ValueType.STRING}
    assert next(field.dtype for field in views.item_view.features if field.name == "price") == Float64
