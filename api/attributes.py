"""Attributes of users as the feature store last told them, for when it is away."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import cast

from features import UNKNOWN, Id, Row, Schema, User

USERS = 100_000
"""Users remembered; those who asked longest ago are forgotten first."""


class Attributes:
    """Remembers the attributes of users of one data set; safe to share between threads."""

    def __init__(self, schema: Schema, users: int = USERS) -> None:
        self._schema, self._users = schema, users
        self._lock = threading.Lock()
        self._known: OrderedDict[Id, User] = OrderedDict()

    def remember(self, userid: Id, row: Row) -> User:
        """Remember the attributes in a user's feature row; the user whom they describe."""
        codes = [cast(int, row.get(attribute.name, UNKNOWN)) for attribute in self._schema.user_attributes]
        user = self._schema.user(userid, codes)
        with self._lock:
            self._known[userid] = user
            self._known.move_to_end(userid)
            if len(self._known) > self._users:
                self._known.popitem(last=False)
        return user

    def of(self, userid: Id) -> User:
        """Return the known attributes of a user; unknown ones if there are none."""
        with self._lock:
            return self._known.get(userid) or self._schema.user(userid)


def is_known(user: User) -> bool:
    """Return True if an attribute of a user is known, or there are none to know."""
    return not user.codes or any(code != UNKNOWN for code in user.codes)
