"""Events and catalogue of a data set, from its typed columns."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from features import Catalogue, Schema
from features.attributes import Attribute
from features.catalogue import ItemValue
from features.dataset import DataSet
from features.dataset.codes import Codes
from features.ids import Id, Numbering, ascending
from offline.data.tables import Categorical, Column, EntityTable, MultiCategorical, Numeric, Tables, Texts
from offline.data.tables.values import Floats, Ints


def numbered(entities: EntityTable) -> tuple[Numbering, Ints]:
    """(the numbering of all ids, the number of each row of the table INT64 [rows])."""
    ids: list[Id] = entities.ids.to_pylist()
    numbering = Numbering(ascending(ids))
    return numbering, numbering.numbers(ids)


def codes_of(dataset: DataSet, codes: Codes, tables: Tables) -> tuple[Ints, Floats]:
    """(code INT64, value FP64 where the code does not tell it, else NaN) of each event."""
    events = tables.events
    code, value = np.zeros(len(events), dtype=np.int64), np.full(len(events), np.nan)
    for number, name in enumerate(tables.types):
        rule, places = dataset.feedback[name], np.flatnonzero(events.type == number)
        if not rule.needs_value:
            code[places] = codes.code(name, None)
            continue
        values = events.value[places]
        meaning = values
        if rule.value is None or not rule.value.listed:
            meaning = rule.positive.holds(values) + 2.0 * rule.negative.holds(values)
            value[places] = values
        # Values of one meaning have one code.
        _, first, which = np.unique(meaning, return_index=True, return_inverse=True)
        coded = [codes.code(name, float(values[place])) for place in first]
        code[places] = np.array(coded, dtype=np.int64)[which]
    return code, value


def catalogue_of(schema: Schema, tables: Tables) -> Catalogue:
    """The items and users, in the order of their tables."""
    columns = [
        _values(tables.items.attributes[attribute.name], _whole(attribute, schema))
        for attribute in schema.item_attributes
    ]
    rows = list(zip(*columns, strict=True)) if columns else [()] * len(tables.items)
    items = zip(tables.items.ids.to_pylist(), _titles(schema.dataset, tables.items), rows, strict=True)
    codes = [_user_codes(tables.users.attributes[attribute.name]).tolist() for attribute in schema.user_attributes]
    of_users = list(zip(*codes, strict=True)) if codes else [()] * len(tables.users)
    users = zip(tables.users.ids.to_pylist(), of_users, strict=True)
    return Catalogue.of(
        (schema.item(itemid, title, values) for itemid, title, values in items),
        (schema.user(userid, of_user) for userid, of_user in users),
        len(schema.user_attributes),
    )


def _titles(dataset: DataSet, items: EntityTable) -> Sequence[str]:
    for name, described in dataset.items.attributes.items():
        column = items.attributes[name]
        if described.kind == "title" and isinstance(column, Texts):
            return [text or "" for text in column.texts]
    return [""] * len(items)


def _whole(attribute: Attribute, schema: Schema) -> bool:
    """True for whole numbers, and for what is derived from them."""
    by_name = {each.name: each for each in schema.item_attributes}
    while attribute.of in by_name and not attribute.whole:
        attribute = by_name[attribute.of]
    return attribute.whole


def _values(column: Column, whole: bool) -> Sequence[ItemValue]:
    """The values of an attribute of items."""
    if isinstance(column, Categorical):
        codes: list[ItemValue] = column.codes.tolist()
        return codes
    if isinstance(column, MultiCategorical):
        return column.rows()
    if isinstance(column, Texts):
        return column.texts
    numbers = column.numbers.tolist()
    return [None if math.isnan(number) else int(number) if whole else number for number in numbers]


def _user_codes(column: Column) -> Ints:
    """The code of each user's value; -1, which is `UNKNOWN`, where it is missing."""
    if isinstance(column, Numeric) and column.buckets is not None:
        return column.buckets.codes
    assert isinstance(column, Categorical), "attributes of users that have values are categories, or have buckets"
    return column.codes
