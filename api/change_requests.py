"""Changes of items and users as requests have them, made from the schema of the data set."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from math import ceil, floor
from typing import Annotated, Any, NamedTuple, cast

from flask import request
from pydantic import Field, create_model

from api.messages import Body, RequestError, parse
from features import EventError, Id, ItemChange, Schema, UserChange
from features.changes import MOST_VERSION
from features.dataset.attributes import Attribute, Categories, Number
from features.words import TITLE

VERSION = "version"

Version = Annotated[int, Field(strict=True, ge=1, le=MOST_VERSION)]

MICROSECONDS = 1_000_000

LARGEST = 2**63 - 1
"""Largest whole number that the stores hold."""


class ItemFields(Body):
    """All attributes of an item from now on; one that is null or absent is missing, or derived.

    Attributes:
        version: of the change, of which the highest counts; the API's clock in microseconds if there is none.
    """

    version: Version | None = None


class UserFields(Body):
    """All attributes of a user from now on; one that is null or absent is unknown."""


class Changed(NamedTuple):
    """A change of an item, with values that the schema does not know, by attribute."""

    change: ItemChange
    unknown: dict[str, list[str]]


class ChangeRequests:
    """The changes of a data set.

    Args:
        schema: of the data set.

    Attributes:
        item: the body of `PUT /items/<itemid>`.
        user: the body of `PUT /users/<userid>`.
    """

    def __init__(self, schema: Schema) -> None:
        self._events = schema.events
        self.item = _model("ItemRequest", ItemFields, schema.dataset.items.attributes)
        self.user = _model("UserRequest", UserFields, schema.dataset.users.attributes)

    def put(self, itemid: Id, body: object, now: int) -> Changed:
        """The change that a body asks for.

        Args:
            itemid: of the item.
            body: what the JSON says.
            now: the version of a change that names none.

        Raises:
            RequestError: if it breaks a rule.
        """
        fields = self._checked(self.item, body)
        version = fields.pop(VERSION, None)
        try:
            change = self._events.item_change(itemid, now if version is None else version, fields)
        except EventError as error:
            raise RequestError(f"{TITLE}, attributes: {error}") from None
        return Changed(change, self._events.unknown_item_values(fields))

    def withdrawal(self, itemid: Id, version: int) -> ItemChange:
        """The withdrawal of an item."""
        return self._events.withdrawal(itemid, version)

    def of_user(self, userid: Id, body: object) -> tuple[UserChange, dict[str, list[str]]]:
        """The change of a user that a body asks for, and values that the schema does not know, by attribute.

        Raises:
            RequestError: if it breaks a rule.
        """
        fields = self._checked(self.user, body)
        try:
            change = self._events.user_change(userid, fields)
        except EventError as error:
            raise RequestError(f"attributes: {error}") from None
        return change, self._events.unknown_user_values(fields)

    @staticmethod
    def _checked(model: type[Body], body: object) -> dict[str, Any]:
        """The fields of a body, once they are found to be those of the model; as they were sent."""
        parse(model, body)
        return dict(cast("Mapping[str, Any]", body))


class Versions:
    """Versions for changes that name none: the clock in microseconds, and never the same one twice."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        """The next version."""
        with self._lock:
            self._last = max(self._last + 1, int(time.time() * MICROSECONDS))
            return self._last


def version_in_query() -> int | None:
    """The version that the address of the request names; None if it names none.

    Raises:
        RequestError: if it is none.
    """
    text = request.args.get(VERSION)
    if text is None:
        return None
    version = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(MOST_VERSION)) else 0
    if not 1 <= version <= MOST_VERSION:
        raise RequestError(f"{VERSION}: must be a whole number from 1 to {MOST_VERSION}")
    return version


def _model(name: str, base: type[Body], attributes: Mapping[str, Attribute]) -> type[Body]:
    """The model of the attributes of an item or a user."""
    fields: dict[str, Any] = {}
    for attribute, described in attributes.items():
        alias = TITLE if described.kind == "title" else attribute
        about = f"derived from {described.of} where it is missing" if described.of else None
        fields[f"named_{alias}"] = (_kind(described) | None, Field(None, alias=alias, description=about))
    return cast("type[Body]", cast(Any, create_model)(name, __base__=base, __doc__=base.__doc__, **fields))


def _kind(described: Attribute) -> Any:
    """The type of an attribute's value."""
    if isinstance(described, Number):
        low, high = described.minimum, described.maximum
        if described.whole:
            least = -LARGEST if low is None else ceil(low)
            return Annotated[int, Field(strict=True, ge=least, le=LARGEST if high is None else floor(high))]
        return Annotated[float, Field(strict=True, ge=low, le=high, allow_inf_nan=False)]
    text: Any = Annotated[str, Field(strict=True)]
    return Annotated[list[text], Field(fail_fast=True)] if isinstance(described, Categories) else text
