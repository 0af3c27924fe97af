"""Feature rows: what the feature store holds of a user and of an item.

Whole numbers only, so that rows compare exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from features.catalogue import Item, User
from features.counters import ItemCounter
from features.counts import ATTRIBUTES_OF_ITEMS, ATTRIBUTES_OF_USERS, ITEM_COUNTS, USER_COUNTS, Attribute, Count
from features.profile import Profile
from features.windows import totals

Row = dict[str, int | list[int]]

USER_NUMBERS = tuple(count.name for count in USER_COUNTS if count.length == 1)
USER_LISTS = tuple(count.name for count in USER_COUNTS if count.length > 1)
USER_ATTRIBUTES = tuple(attribute.name for attribute in ATTRIBUTES_OF_USERS)
USER_FEATURES = (*USER_ATTRIBUTES, *USER_NUMBERS, *USER_LISTS)

ITEM_FIELDS: tuple[Count | Attribute, ...] = (
    *ITEM_COUNTS,
    *(attribute for attribute in ATTRIBUTES_OF_ITEMS if attribute.in_row),
)
ITEM_NUMBERS = tuple(field.name for field in ITEM_FIELDS if field.length == 1)
ITEM_LISTS = tuple(field.name for field in ITEM_FIELDS if field.length > 1)
ITEM_FEATURES = ITEM_NUMBERS + ITEM_LISTS


def user_row(profile: Profile, user: User, items: Mapping[int, Item]) -> Row:
    """The features of a user as of the profile.

    Args:
        profile: the user's profile.
        user: the user's attributes.
        items: the items of the profile's last events, by id.
    """
    last = totals(profile.recent, items)
    row: Row = {attribute.name: attribute.value(user) for attribute in ATTRIBUTES_OF_USERS}
    for count in USER_COUNTS:
        value = count.value(profile, last)
        # A copy of a list, as the profile goes on changing.
        row[count.name] = value if isinstance(value, int) else list(value)
    return row


def item_row(counter: ItemCounter, item: Item) -> Row:
    """The features of an item as of its counters."""
    row: Row = {count.name: count.value(counter) for count in ITEM_COUNTS}
    return row | {attribute.name: attribute.value(item) for attribute in ATTRIBUTES_OF_ITEMS if attribute.in_row}


def user_row_time(row: Row) -> datetime:
    """The timestamp of a user's row in the feature store: the newest event's second plus `version` microseconds.

    Feast on Redis drops a row whose timestamp is not later than the stored one, and events share seconds; both parts
    only grow, so that of two states of one row the later always wins. The row of an erased user is deleted. Rows of
    items have the time of their publication (`stores.redis.publication_clock`).
    """
    last_ts, version = row["last_ts"], row["version"]
    assert isinstance(last_ts, int) and isinstance(version, int)
    return datetime.fromtimestamp(last_ts, UTC) + timedelta(microseconds=version)
