"""Changes of items and users, which are records of the log as events are, with the schema version 3.

A change of an item is appended to every partition:
`{"schema_version": 3, "itemid": "i1", "version": 7, "item": {"title": "Lamp", "categories": ["garden"]}}`, or
`"withdrawn": true` in place of `item`. A change of a user is a record of the user's own partition:
`{"schema_version": 3, "userid": "u7", "user": {"segment": "new"}}`. Either one gives all attributes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from features.catalogue import Item, ItemValue, User
from features.errors import EventError
from features.ids import Id, IdKind
from features.words import Words

CHANGE_VERSION = 3
"""Version of the layout of a change. A release that does not know it refuses it, and never takes it for an event."""

MOST_VERSION = 2**63 - 1
"""Greatest version of a change."""

WITHDRAWAL = ""
"""The text of a withdrawal, in place of the attributes; of two changes of one version the greater text counts."""

Order = tuple[int, str]
"""The order of the changes of an item: (version, canonical JSON of the attributes); the greatest counts."""

PUBLISHED: Order = (0, WITHDRAWAL)
"""The order of an item as it was published, below that of any change."""


@dataclass(frozen=True, slots=True)
class ItemChange:
    """A change of an item (see `EventFormat.item_change` and `EventFormat.withdrawal`).

    Attributes:
        itemid: of the item.
        version: of the change, 1 to MOST_VERSION.
        item: as it is from the change on; None if it is withdrawn.
        text: the attributes as canonical JSON; WITHDRAWAL if it is withdrawn.
    """

    itemid: Id
    version: int
    item: Item | None
    text: str

    @property
    def order(self) -> Order:
        """The order of the change among those of its item."""
        return self.version, self.text

    @property
    def withdrawn(self) -> bool:
        """True for a withdrawal."""
        return self.item is None


@dataclass(frozen=True, slots=True)
class UserChange:
    """A change of a user's attributes (see `EventFormat.user_change`).

    Attributes:
        userid: of the user.
        user: as the user is from the change on.
        text: the attributes as canonical JSON.
    """

    userid: Id
    user: User
    text: str


def revision(text: str) -> int:
    """The number of an item's attributes, given as canonical JSON: the same in every shard, and never 0.

    It names the attributes, not the version of the change, as two changes may have one version.

    >>> revision("{}") == revision("{}") != revision('{"price":5}')
    True
    """
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1 or 1


def canonical(words: Mapping[str, object]) -> str:
    """Attributes as canonical JSON.

    >>> canonical({"title": "Lamp", "price": 5})
    '{"price":5,"title":"Lamp"}'
    """
    return json.dumps(words, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class ChangeFormat:
    """Reads and writes the changes of a data set.

    Args:
        users, items: the kinds of ids.
        of_items, of_users: the attributes, as changes name them.
        make_item: takes an id, a title, and the values of the attributes of items that models and lists see.
        make_user: takes an id, and the codes of the attributes of users that models see.
    """

    def __init__(
        self,
        users: IdKind,
        items: IdKind,
        of_items: Words,
        of_users: Words,
        make_item: Callable[[Id, str, list[ItemValue]], Item],
        make_user: Callable[[Id, list[int]], User],
    ) -> None:
        self._users, self._items = users, items
        self.of_items, self.of_users = of_items, of_users
        self._make_item, self._make_user = make_item, make_user

    def item(self, itemid: object, version: object, words: object) -> ItemChange:
        """Make a change of an item from its attributes.

        Raises:
            EventError: naming the field and the rule.
        """
        known, number = self._items.check(itemid, "itemid"), _version(version)
        given = self.of_items.check(words, "item")
        title = self.of_items.title(given)
        return ItemChange(known, number, self._make_item(known, title, self.of_items.values(given)), canonical(given))

    def withdrawal(self, itemid: object, version: object) -> ItemChange:
        """Make the withdrawal of an item.

        Raises:
            EventError: naming the field and the rule.
        """
        return ItemChange(self._items.check(itemid, "itemid"), _version(version), None, WITHDRAWAL)

    def user(self, userid: object, words: object) -> UserChange:
        """Make a change of a user from the attributes.

        Raises:
            EventError: naming the field and the rule.
        """
        known = self._users.check(userid, "userid")
        given = self.of_users.check(words, "user")
        return UserChange(known, self._make_user(known, self.of_users.codes(given)), canonical(given))

    def parse(self, fields: Mapping[str, object]) -> ItemChange | UserChange:
        """Check the fields of a change.

        Raises:
            EventError: naming the field and the rule.
        """
        if ("itemid" in fields) == ("userid" in fields):
            raise EventError(f"an event of the schema_version {CHANGE_VERSION} has either an itemid or a userid")
        if "userid" in fields:
            return self.user(fields["userid"], fields.get("user"))
        if ("item" in fields) == ("withdrawn" in fields):
            raise EventError("a change of an item has either item or withdrawn")
        if "item" in fields:
            return self.item(fields["itemid"], fields.get("version"), fields["item"])
        if fields["withdrawn"] is not True:
            raise EventError("withdrawn must be true in the withdrawal of an item")
        return self.withdrawal(fields["itemid"], fields.get("version"))

    @staticmethod
    def fields(change: ItemChange | UserChange) -> dict[str, object]:
        """The JSON object of a change."""
        fields: dict[str, object] = {"schema_version": CHANGE_VERSION}
        if isinstance(change, UserChange):
            return fields | {"userid": change.userid, "user": _parsed(change.text)}
        fields |= {"itemid": change.itemid, "version": change.version}
        return fields | ({"withdrawn": True} if change.item is None else {"item": _parsed(change.text)})


def _parsed(text: str) -> Any:
    return json.loads(text)


def _version(value: object) -> int:
    if type(value) is not int or not 1 <= value <= MOST_VERSION:
        raise EventError(f"version must be a whole number from 1 to {MOST_VERSION}")
    return value
