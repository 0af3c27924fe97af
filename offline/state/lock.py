"""The lock under which the live run or the live state is changed."""

from __future__ import annotations

from collections.abc import Callable

from settings import Settings
from stores import PublishLock, connect

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0 to 1."""


def lock(settings: Settings, words: str, progress: Progress) -> PublishLock:
    """The lock of publishing, not yet taken, for an operation that the words describe."""

    def waiting(holder: str) -> None:
        progress(f"looking whether {holder} still runs", 0.0)

    return PublishLock(connect(settings.redis), settings.publish.lock_s, words, waiting)
