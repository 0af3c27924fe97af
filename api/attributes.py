"""Attributes of users as the feature store last told them, for when it is away."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import cast

from features import Row, User
from features.catalogue import UNKNOWN
from features.rows import USER_ATTRIBUTES

USERS = 100_000
"""Users remembered; those who asked longest ago are forgotten first."""


class Attributes:
    """Remembers attributes; safe to share between threads."""

    def __init__(self, users: int = USERS) -> None:
        self._users = users
        self._lock = threading.Lock()
        self._known: OrderedDict[int, User] = OrderedDict()

    def remember(self, userid: int, row: Row) -> User:
        """Remember the attributes in a user's feature row; the user whom they describe."""
        gender, age, occupation = (cast(int, row.get(name, UNKNOWN)) for name in USER_ATTRIBUTES)
        user = User(userid, gender, age, occupation)
        with self._lock:
            self._known[userid] = user
            self._known.move_to_end(userid)
            if len(self._known) > self._users:
                self._known.popitem(last=False)
        return user

    def of(self, userid: int) -> User:
        """Return the known attributes of a user; unknown ones if there are none."""
        with self._lock:
            return self._known.get(userid) or User(userid, UNKNOWN, UNKNOWN, UNKNOWN)
