"""The mention of a user in bytes: as a field, in a path, or in a sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Mentions:
    """Finds a user in values of which only some of the form is known.

    A number alone may be anything, so that only one that is said to be a user's counts.

    Args:
        userid: the user.
    """

    userid: int

    @property
    def key(self) -> bytes:
        """The user's key in the log."""
        return str(self.userid).encode()

    def within(self, value: bytes | None) -> bool:
        """Tell whether text or JSON names the user.

        >>> mentions = Mentions(7)
        >>> [mentions.within(text) for text in (b'{"userid": 7}', b"GET /users/7 200", b"of user 7 cannot")]
        [True, True, True]
        >>> [mentions.within(text) for text in (b'{"userid": 77}', b'{"users": 7}', b"user_7d", None)]
        [False, False, False, False]
        """
        return value is not None and re.search(self._pattern, value) is not None

    def count(self, value: bytes) -> int:
        """The number of times that text or JSON names the user."""
        return len(re.findall(self._pattern, value))

    @property
    def _pattern(self) -> bytes:
        # `"users": 7` is a count.
        return rb"(?i)(?<![a-z])(?:users/|user(?:_?id)?[\"']?[\s:=/]{1,3}[\"']?)%d(?![\w.])" % self.userid

    @property
    def line(self) -> bytes:
        """A pattern of the lines of `ratings.dat` and `users.dat` that are the user's."""
        return rb"(?m)^%d::" % self.userid
