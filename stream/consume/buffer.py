"""What waits in a worker before it is folded, bounded in bytes too.

Faust bounds the events that wait. An event of the log may have a MiB, so that thousands of them would take gigabytes.
"""

from __future__ import annotations

from typing import Any

from faust import Event
from mode.utils.queues import ThrowableQueue

from stream.consume.fetching import size_of

MOST_BYTES = 16 * 2**20
"""Size of the events that wait from which on no more is taken from Kafka; ratings would be 200,000."""


class Buffer(ThrowableQueue):
    """Faust's queue of events, which is full too when the events in it are large.

    Attributes:
        bytes: size of the keys, values and headers that wait.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bytes = 0

    def full(self) -> bool:
        """Whether the next event must wait."""
        return bool(super().full()) or self.bytes >= MOST_BYTES

    def clear(self) -> None:
        """Forget what waits."""
        super().clear()
        self.bytes = 0

    def _put(self, item: Any) -> None:
        self.bytes += _size(item)
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        self.bytes -= _size(item)
        return item


def _size(item: Any) -> int:
    return size_of(item.message) if isinstance(item, Event) else 0
