"""Ratings and catalogue of a data set, for the models of today, and what of a description they do not support yet."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from features import DECADES, GENRES, LIKED, Catalogue, Item, User
from features.catalogue import AGES, FIRST_DECADE, OCCUPATIONS
from features.dataset import Categories, Category, DataSet, LastEvents, Number, Title
from offline.data.tables import Categorical, Column, MultiCategorical, Numeric, Tables, Texts
from offline.data.tables.values import MICROSECONDS, Ints
from offline.errors import DataError
from settings import DataSettings

ITEM_ATTRIBUTES = ("title", "year", "genres", "decade")
USER_VALUES = {"gender": 2, "age": len(AGES), "occupation": OCCUPATIONS}
"""The attributes of users, each with the number of its declared values."""

DECADE_BOUNDS = tuple(float(FIRST_DECADE + 10 * number) for number in range(1, DECADES))


def require_supported(dataset: DataSet, name: str, settings: DataSettings) -> None:
    """Refuse a data set that the models cannot be trained on yet.

    Args:
        dataset: its description.
        name: of the description, for the message.
        settings: of the split.

    Raises:
        DataError: with one sentence that names the part.
    """
    for part in _unsupported(dataset):
        raise DataError(f"{name}: {part} not supported yet; datasets/movielens-1m.toml shows what is")
    if isinstance(dataset.split, LastEvents) and dataset.split.events != settings.online_events:
        raise DataError(
            f"{name}: the split holds out the last {dataset.split.events} events of each user, and data.online_events "
            f"is {settings.online_events}; make them the same"
        )


def _unsupported(dataset: DataSet) -> Iterator[str]:
    """Parts that are not supported, each as the beginning of a sentence that ends in "not supported yet"."""
    for part, entities in (("items", dataset.items), ("users", dataset.users)):
        if entities.ids != "integer":
            yield f"string ids of {part} are"
        if not entities.file or not entities.complete:
            yield f"{part} that no file names are"
    if len(dataset.feedback) > 1:
        yield f"events of several types ({', '.join(dataset.feedback)}) are"
    (name, rule), *_ = dataset.feedback.items()
    bounds = rule.value
    if bounds is None or (bounds.minimum, bounds.maximum, bounds.whole) != (1, 5, True):
        yield f"events without a whole number from 1 to 5 (feedback.{name}) are"
    if (rule.positive.text, rule.negative.text) != (f"value >= {LIKED}", f"value < {LIKED}"):
        yield f"feedback other than positive from a value of {LIKED} on, else negative (feedback.{name}) is"
    if (rule.identity, rule.hides, rule.target, rule.weight) != ("replace", True, True, 1.0):
        yield f"events that do not replace earlier ones, hide the item and count once (feedback.{name}) are"
    if dataset.split is not None and not isinstance(dataset.split, LastEvents):
        yield "a split by a point in time is"
    yield from _unsupported_attributes(dataset)


def _unsupported_attributes(dataset: DataSet) -> Iterator[str]:
    of_items, of_users = dataset.items.attributes, dataset.users.attributes
    for part, attributes, supported in (("items", of_items, ITEM_ATTRIBUTES), ("users", of_users, tuple(USER_VALUES))):
        if {*attributes} != {*supported}:
            yield f"attributes of {part} other than {', '.join(supported)} are"
            return
    title, year, genres, decade = (of_items[name] for name in ITEM_ATTRIBUTES)
    if not isinstance(title, Title) or not title.required:
        yield "items without a required title are"
    if not isinstance(year, Number) or not year.whole or not (year.required or year.default is not None):
        yield "years that are not whole numbers, or have no default where one is missing, are"
    if not isinstance(genres, Categories) or (genres.values or genres.flags) != GENRES or not genres.term:
        yield "genres other than those of MovieLens-1M, in their order and as terms, are"
    if not isinstance(decade, Number) or (decade.of, decade.buckets, decade.term) != ("year", DECADE_BOUNDS, True):
        yield "decades other than those of MovieLens-1M, as terms, are"
    for name, values in USER_VALUES.items():
        attribute = of_users[name]
        if not isinstance(attribute, Category | Number) or len(attribute.values) != values:
            yield f"users' {name} with other than {values} declared values is"


def columns_of(tables: Tables) -> tuple[Ints, Ints, Ints, Ints]:
    """(userid, itemid, rating, ts in unix seconds), INT64 [events] each, in the order of the file."""
    events = tables.events
    userid, itemid = tables.users.numbers, tables.items.numbers
    return userid[events.user], itemid[events.item], events.value.astype(np.int64), events.time // MICROSECONDS


def catalogue_of(tables: Tables) -> Catalogue:
    """The items and users."""
    title, year, genres, _ = (tables.items.attributes[name] for name in ITEM_ATTRIBUTES)
    assert isinstance(title, Texts) and isinstance(year, Numeric) and isinstance(genres, MultiCategorical)
    years = year.numbers.astype(np.int64).tolist()
    items = zip(tables.items.numbers.tolist(), title.texts, years, genres.rows(), strict=True)
    codes = [_codes(tables.users.attributes[name]).tolist() for name in USER_VALUES]
    users = zip(tables.users.numbers.tolist(), *codes, strict=True)
    return Catalogue.of(
        (Item(itemid, name or "", *rest) for itemid, name, *rest in items), (User(*row) for row in users)
    )


def _codes(column: Column) -> Ints:
    """The number of each user's value; -1, which is `UNKNOWN`, where it is missing."""
    if isinstance(column, Numeric) and column.buckets is not None:
        return column.buckets.codes
    assert isinstance(column, Categorical)
    return column.codes
