"""The replayer: sends held-out events, in the order of time, as the live stream.

Each event carries its place in the replay in the header `replay`, which tells what the topic holds already, also when
the replayer was killed at any moment. A producer that Kafka has refused a batch may still write the next one, so there
can be gaps: a replay that continues reads the places of the whole log, and sends what is missing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from features.event import Event
from features.schema import Schema
from producers.present import HEADER, OtherReplay, Present
from producers.scenarios import Headers, ScenarioEvent
from settings import KafkaSettings
from stores import Log, LogError, Unreachable, abandon, ensure_topics, producer

if TYPE_CHECKING:
    from stores.archive.whole_log import WholeLog

IN_FLIGHT = 20_000
"""Most events sent and not yet acknowledged."""

FOR_EVER_MS = 24 * 3600 * 1000
"""While Kafka is away, events wait in the producer rather than fail."""


class Pace(Enum):
    """The pace at which events are sent."""

    RATE = "events a second"
    SPEED = "times the original speed"
    MAX = "as fast as Kafka takes them"


@dataclass
class Report:
    """The result of a replay.

    Attributes:
        events: events of the replay.
        present: those that stood in the topic before.
        sent: those acknowledged by Kafka now.
        failed: those that Kafka refused.
        seconds: how long it took.
    """

    events: int
    present: int = 0
    sent: int = 0
    failed: int = 0
    seconds: float = 0.0
    error: str = field(default="")


Acknowledged = Callable[[Event, Any], None]
"""Takes an event and kafka-python's RecordMetadata: its partition, offset and timestamp in milliseconds."""

Progress = Callable[[Report], None]
"""Takes the report of a replay that goes on."""

OpenLog = Callable[[], "Log | WholeLog"]
"""Opens a reader of the events; it is closed afterwards."""


@dataclass(frozen=True)
class Recording:
    """Events to be replayed.

    Attributes:
        source: names the data, so that a topic with the replay of other data is not continued.
        schema: of the data set.
        events: all events of the replay, in the order of time.
        headers: further headers of each event; none where it is empty.
    """

    source: str
    schema: Schema
    events: Sequence[Event]
    headers: Sequence[Headers] = ()

    @classmethod
    def of(cls, source: str, schema: Schema, events: Sequence[ScenarioEvent]) -> Recording:
        """The recording of a scenario."""
        return cls(source, schema, [sent.event for sent in events], [sent.headers for sent in events])

    def first(self, events: int | None) -> Recording:
        """Its first events; all where that is None."""
        return replace(self, events=self.events[:events], headers=self.headers[:events])

    def headers_of(self, place: int) -> list[tuple[str, bytes]]:
        """Headers of the event at a place: that of the replay, then its own."""
        return [(HEADER, f"{self.source}:{place}".encode()), *(self.headers[place] if self.headers else ())]


def replay(
    settings: KafkaSettings,
    recording: Recording,
    *,
    pace: Pace,
    value: float = 1.0,
    stopping: threading.Event,
    progress: Progress,
    acknowledged: Acknowledged = lambda event, position: None,
    open_log: OpenLog | None = None,
) -> Report:
    """Send the events that the topic does not hold yet.

    Args:
        settings: Kafka.
        recording: the events.
        pace: what `value` means.
        value: events a second, or times the original speed.
        stopping: ends the replay early when set; what was sent is still waited for.
        progress: called with the report about ten times a second.
        acknowledged: called with each event that Kafka has acknowledged and where it then stands.
        open_log: opens what tells where the replay stands: archive and log, or by default the log alone.

    Raises:
        LogError: if the topic holds a replay of other data.
        Unreachable: if Kafka does not answer at the start, or refuses an event.
    """
    ensure_topics(settings)
    missing = _missing(settings, recording, open_log or (lambda: Log(settings)))
    report = Report(len(recording.events), present=len(recording.events) - len(missing))
    in_flight = InFlight(report, acknowledged, progress)
    client = producer(settings, linger_ms=5, delivery_timeout_ms=FOR_EVER_MS)
    for place, event in paced(missing, pace, value, stopping):
        in_flight.wait_for_room(stopping)
        if report.failed:
            break
        key, body = recording.schema.events.encode(event)
        headers = recording.headers_of(place)
        in_flight.add(event, client.send(settings.topic, key=key, value=body, headers=headers))
    in_flight.wait()
    if report.failed:
        abandon(client)
    else:
        client.close(timeout=10)
    in_flight.show()
    if report.failed:
        raise Unreachable(
            f"Kafka refused an event ({report.error}); run the replay again; it continues where it stopped"
        )
    return report


class InFlight:
    """Events sent that Kafka has neither acknowledged nor refused; those that it has are counted in a report.

    Args:
        report: of the replay that begins.
        acknowledged: called with each event that Kafka has acknowledged, in a thread of the producer.
        progress: called with the report.
    """

    def __init__(self, report: Report, acknowledged: Acknowledged, progress: Progress) -> None:
        self._report, self._acknowledged, self._progress = report, acknowledged, progress
        self._sent = 0
        self._begun = time.monotonic()
        self._shown = 0.0

    def __len__(self) -> int:
        return self._sent - self._report.sent - self._report.failed

    def add(self, event: Event, future: Any) -> None:
        """Count an event as sent until kafka-python's future for it is done."""
        future.add_callback(self._write, event)
        future.add_errback(self._refuse)
        self._sent += 1
        if time.monotonic() - self._shown > 0.1:
            self._shown = time.monotonic()
            self.show()

    def wait_for_room(self, stopping: threading.Event) -> None:
        """Wait until fewer than IN_FLIGHT events are in flight, or `stopping` is set."""
        while len(self) >= IN_FLIGHT and not stopping.is_set():
            time.sleep(0.01)

    def wait(self) -> None:
        """Wait until Kafka has acknowledged all events or refused one."""
        while len(self) > 0 and not self._report.failed:
            time.sleep(0.02)
            self.show()

    def show(self) -> None:
        """Pass on the report, with the seconds since the replay began."""
        self._report.seconds = time.monotonic() - self._begun
        self._progress(self._report)

    def _write(self, event: Event, position: Any) -> None:
        self._acknowledged(event, position)
        self._report.sent += 1

    def _refuse(self, error: BaseException) -> None:
        self._report.failed += 1
        self._report.error = str(error)


def _missing(settings: KafkaSettings, recording: Recording, open_log: OpenLog) -> list[tuple[int, Event]]:
    """Events that the topic does not hold yet, each with its place in the replay."""
    log = open_log()
    try:
        present = Present(recording.source, len(recording.events), log.epochs)
        present.read(log)
    except OtherReplay:
        raise LogError(
            f"topic {settings.topic} holds a replay of other data; `reelstream publish --reset` starts over"
        ) from None
    finally:
        log.close()
    return [(place, event) for place, event in enumerate(recording.events) if not present.holds(place, event.userid)]


def paced(
    events: Sequence[tuple[int, Event]], pace: Pace, value: float, stopping: threading.Event
) -> Iterator[tuple[int, Event]]:
    """The events, each no sooner than it is due, until `stopping` is set."""
    started = time.monotonic()
    for number, (place, event) in enumerate(events):
        if stopping.is_set():
            return
        if pace is Pace.RATE:
            due = number / value
        elif pace is Pace.SPEED:
            due = (event.ts - events[0][1].ts) / value
        else:
            due = 0.0
        wait = started + due - time.monotonic()
        if wait > 0 and stopping.wait(wait):
            return
        yield place, event
