"""The clock of the publications of items: `{ratings-0}:publication`, microseconds since 1970.

A row of an item has the time of the publication that it belongs to. Of two publishers, of whom one has lost its
partition unawares, the row of the later one must be kept. Later is who has read the counters later, so that the time is
taken before they are read; it follows from no counter, as those go back when a user is erased.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

from stores.redis.connection import answers, reachable
from stores.redis.profiles import Profiles
from stores.redis.readable import offset_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ADVANCE = """
local held = redis.pcall('GET', KEYS[1])
local time = math.max((type(held) == 'string' and tonumber(held) or 0) + 1, tonumber(ARGV[1]))
redis.call('SET', KEYS[1], string.format('%.0f', time))
return string.format('%.0f', time)
"""
"""Sets a clock to a time, or to just after the one held, and returns it."""


class PublicationClock:
    """Gives each publication of items a time later than that of all before.

    Args:
        profiles: the generation of the state whose items are published.
    """

    def __init__(self, profiles: Profiles) -> None:
        self._client, self._key = profiles.client, f"{profiles.tag(0)}:publication"

    def advance(self) -> datetime:
        """The time of a new publication, whose counters are read next.

        Raises:
            Unreachable: if Redis does not answer.
        """
        now = (datetime.now(UTC) - EPOCH) // timedelta(microseconds=1)
        with reachable():
            time = cast(bytes, self._client.eval(ADVANCE, 1, self._key, str(now)))
        return EPOCH + timedelta(microseconds=int(time))

    def last(self) -> datetime:
        """The time of the last publication; 1970 before the first.

        Raises:
            Unreadable: if what is stored is no time.
            Unreachable: if Redis does not answer.
        """
        read = self._client.pipeline(transaction=False)
        read.get(self._key)
        return EPOCH + timedelta(microseconds=offset_of(answers(read)[0], self._key) or 0)
