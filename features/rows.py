"""Feature rows: what the feature store holds of a user and of an item.

Rows compare exactly: counts are whole numbers, and numbers of items are as the catalogue has them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from features.catalogue import Item, User
from features.counters import ItemCounter
from features.layer import Items
from features.profile import Profile

if TYPE_CHECKING:
    from features.schema import Schema

USER_VIEW, ITEM_VIEW = "user", "item"
"""Names of Feast's views."""

Row = dict[str, int | float | list[int]]


def user_row(schema: Schema, profile: Profile, user: User, items: Items) -> Row:
    """The features of a user as of the profile.

    Args:
        schema: of the data set.
        profile: the user's profile.
        user: the user's attributes.
        items: the items of the profile's last events, by id; those that changed in a layer.
    """
    last = schema.totals(profile, items)
    row: Row = {attribute.name: attribute.value(user) for attribute in schema.attributes_of_users}
    for count in schema.user_counts:
        value = count.value(profile, last)
        # A copy of a list, as the profile goes on changing.
        row[count.name] = value if isinstance(value, int) else list(value)
    return row


def item_row(schema: Schema, counter: ItemCounter, item: Item) -> Row:
    """The features of an item as of its counters."""
    row: Row = {count.name: count.value(counter) for count in schema.item_counts}
    return row | {attribute.name: attribute.value(item) for attribute in schema.attributes_of_items if attribute.in_row}


def user_row_time(row: Row) -> datetime:
    """The timestamp of a user's row in the feature store: the newest event's second plus `version` microseconds.

    Feast on Redis drops a row whose timestamp is not later than the stored one, and events share seconds; both parts
    only grow, so that of two states of one row the later always wins. The row of an erased user is deleted. Rows of
    items have the time of their publication (`stores.redis.publication_clock`).
    """
    last_ts, version = row["last_ts"], row["version"]
    assert isinstance(last_ts, int) and isinstance(version, int)
    return datetime.fromtimestamp(last_ts, UTC) + timedelta(microseconds=version)
