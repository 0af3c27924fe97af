"""The end of the log: where it stands, and the ratings that arrived last."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from features import Event, EventError, decode
from settings import KafkaSettings
from stores import Log, StoreError, Unreachable

LAST = 5
"""Events of each partition that are read at most in one look."""

SHOWN = 15
"""Ratings that are remembered."""


@dataclass(frozen=True)
class Tail:
    """The end of the log.

    Attributes:
        ends: offset after the last event, by partition.
        recent: ratings that arrived last, newest first; of many at once only some.
    """

    ends: Mapping[int, int]
    recent: list[Event]


class LogTail:
    """Looks at the end of the log; reads a few events, however many arrived."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._log: Log | None = None
        self._read: dict[int, int] = {}
        self._recent: deque[Event] = deque(maxlen=SHOWN)

    def ask(self) -> Tail:
        """The end of the log now.

        Raises:
            Unreachable: if Kafka does not answer.
        """
        log = self._log or Log(self._settings)
        try:
            self._log = log
            ends = log.ends()
            if not ends:
                raise Unreachable(f"there is no topic {self._settings.topic} yet; run `reelstream up`")
            if any(end < self._read.get(partition, 0) for partition, end in ends.items()):
                # The topic was created again.
                self._read, self._recent = {}, deque(maxlen=SHOWN)
            # A log may be trimmed to fewer events than are shown.
            log.seek(
                {
                    partition: max(self._read.get(partition, 0), ends[partition] - LAST, begin)
                    for partition, begin in log.begins().items()
                }
            )
            events = []
            for records in log.read_to(ends):
                for record in records:
                    try:
                        event = decode(record.key, record.value)
                    except EventError:
                        continue
                    if isinstance(event, Event):
                        events.append(event)
            self._read = dict(ends)
            self._recent.extendleft(sorted(events, key=lambda event: event.ts))
        except StoreError:
            self._log = None
            log.close()
            raise
        return Tail(ends, list(self._recent))
