"""The ids of the live run, read again now and then, as the erasure of a user takes it out of them."""

from __future__ import annotations

import time
from dataclasses import dataclass

from scoring.run_ids import RunIds
from stores import StateStores
from stores.redis.live import LiveRun


@dataclass
class _Read:
    run: LiveRun
    text: str | None
    ids: RunIds
    at_s: float


class LiveIds:
    """Ids in memory, which are the same object for as long as they do not change.

    Args:
        every_s: seconds after which they are read again.
    """

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._read: _Read | None = None

    def of(self, stores: StateStores, run: LiveRun) -> RunIds:
        """The ids of a run.

        Raises:
            NotPublished: if Redis has lost them.
            OtherVersion: if they are of another version.
            Unreachable: if Redis does not answer.
        """
        read, now = self._read, time.monotonic()
        if read is not None and read.run == run:
            if now - read.at_s < self._every_s:
                return read.ids
            # The text alone is read while nothing changes: to understand that of many users takes long.
            if read.text is not None and stores.published.ids_text(run.run) == read.text:
                read.at_s = now
                return read.ids
        text = stores.published.ids_text(run.run) if run.numbered else None
        self._read = _Read(run, text, stores.ids(run), now)
        return self._read.ids
