"""The mention of a user in bytes: as a field, in a path, or in a sentence."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

from features import Id, id_text

NAMED = rb"(?i:(?<![a-z])(?:users/|user(?:_?id)?[\"']?[\s:=/]{1,3}[\"']?))"
"""The beginning by which an id that follows is known as a user's; `"users": 7` is a count."""

END_OF_NUMBER = rb"(?![\w.])"
END_OF_TEXT = rb"(?![\w\x80-\xff%-]|\.\w|\\u)"
"""The end of an id: no more of one follows."""


@dataclass(frozen=True)
class Mentions:
    """Finds a user in values of which only some of the form is known.

    An id alone may be anything, so that only one that is said to be a user's counts.

    Args:
        userid: the user.
    """

    userid: Id

    @property
    def key(self) -> bytes:
        """The user's key in the log."""
        return id_text(self.userid).encode()

    def within(self, value: bytes | None) -> bool:
        """Tell whether text or JSON names the user.

        >>> mentions = Mentions(7)
        >>> [mentions.within(text) for text in (b'{"userid": 7}', b"GET /users/7 200", b"of user 7 cannot")]
        [True, True, True]
        >>> [mentions.within(text) for text in (b'{"userid": 77}', b'{"users": 7}', b"user_7d", None)]
        [False, False, False, False]
        >>> mentions = Mentions("a/b")
        >>> [mentions.within(text) for text in (b'{"userid": "a/b"}', b"GET /users/a%2Fb 200", b"user a/bc, a/b")]
        [True, True, False]
        """
        return value is not None and self._pattern.search(value) is not None

    def count(self, value: bytes) -> int:
        """The number of times that text or JSON names the user."""
        return len(self._pattern.findall(value))

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        """An id as it is, as JSON has it, and as it stands in an address."""
        text, end = id_text(self.userid), END_OF_NUMBER if isinstance(self.userid, int) else END_OF_TEXT
        spelt = {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], quote(text), quote(text, "")}
        forms = b"|".join(re.escape(form.encode()) for form in sorted(spelt))
        return re.compile(NAMED + b"(?:" + forms + b")" + end)

    @property
    def line(self) -> bytes:
        """A pattern of the lines of `ratings.dat` and `users.dat` that are the user's."""
        return rb"(?m)^%s::" % re.escape(self.key)
