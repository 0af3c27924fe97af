"""The end of the log: where it stands, and the events that arrived last."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from features import Event, EventError, EventFormat
from settings import KafkaSettings
from stores import Log, StoreError, Unreachable

LAST = 5
"""Events of each partition that are read at most in one look."""

SHOWN = 15
"""Events that are remembered."""


@dataclass(frozen=True)
class Tail:
    """The end of the log.

    Attributes:
        ends: offset after the last event, by partition.
        recent: events that arrived last, newest first; of many at once only some.
        form: how they are written; None before a data set is published.
    """

    ends: Mapping[int, int]
    recent: list[Event]
    form: EventFormat | None


class LogTail:
    """Looks at the end of the log; reads a few events, however many arrived.

    Args:
        settings: Kafka.
        form: tells how events are written now; None before a data set is published, so that none is read.
    """

    def __init__(self, settings: KafkaSettings, form: Callable[[], EventFormat | None]) -> None:
        self._settings, self._form_now = settings, form
        self._form: EventFormat | None = None
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
            form = self._form_now()
            if form is not self._form or any(end < self._read.get(partition, 0) for partition, end in ends.items()):
                # The topic was created again, or another data set is live.
                self._read, self._recent, self._form = {}, deque(maxlen=SHOWN), form
            if form is not None:
                self._recent.extendleft(sorted(self._new(log, ends, form), key=lambda event: event.ts))
                self._read = dict(ends)
        except StoreError:
            self._log = None
            log.close()
            raise
        return Tail(ends, list(self._recent), form)

    def _new(self, log: Log, ends: Mapping[int, int], form: EventFormat) -> list[Event]:
        """The last events since the look before."""
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
                    event = form.decode(record.key, record.value)
                except EventError:
                    continue
                if isinstance(event, Event):
                    events.append(event)
        return events
