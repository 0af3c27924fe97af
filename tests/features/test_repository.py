"""The Feast views: a described field for each field of a row."""

from __future__ import annotations

from features import ITEM_FEATURES, USER_FEATURES
from features.declarations import TABLE
from features.repository import item_view, user_view


def test_a_view_has_a_described_field_for_every_field_of_its_rows() -> None:
    for view, names in ((user_view, USER_FEATURES), (item_view, ITEM_FEATURES)):
        fields = {field.name: field for field in view.features}
        assert tuple(fields) == names
        assert all(field.description.endswith(".") for field in fields.values())


def test_a_field_names_the_features_that_are_computed_from_it() -> None:
    fields = {field.name: field.tags.get("features", "").split(",") for field in user_view.features}
    for feature in TABLE.features:
        for side, count in feature.inputs:
            assert side == "item" or feature.name in fields[count]
    assert fields["genre_n30"] == ["genre_affinity30", "genre_exposure30"]
    assert fields["gender"] == [""]
