"""The replayer: sends held-out events, in the order of time, as the live stream.

Each event carries its place in the replay in the header `replay`. Within a partition the places only rise, as the
producer keeps the order of what it sends; so the last one in each partition tells what is there already, also when the
replayer was killed at any moment.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from features import Event, encode
from producers.scenarios import Headers, Told
from settings import KafkaSettings
from stores import Log, LogError, Unreachable, abandon, ensure_topics, partition_of, producer

HEADER = "replay"
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


@dataclass(frozen=True)
class Recording:
    """Events to be replayed.

    Attributes:
        source: names the data, so that a topic with the replay of other data is not continued.
        events: all events of the replay, in the order of time.
        headers: further headers of each event; none where it is empty.
    """

    source: str
    events: Sequence[Event]
    headers: Sequence[Headers] = ()

    @classmethod
    def of(cls, source: str, told: Sequence[Told]) -> Recording:
        """The recording of a scenario."""
        return cls(source, [each.event for each in told], [each.headers for each in told])

    def first(self, events: int | None) -> Recording:
        """Its first events; all where that is None."""
        return replace(self, events=self.events[:events], headers=self.headers[:events])


def replay(
    settings: KafkaSettings,
    recording: Recording,
    *,
    pace: Pace,
    value: float = 1.0,
    stopping: threading.Event,
    progress: Callable[[Report], None],
    acknowledged: Acknowledged = lambda event, position: None,
) -> Report:
    """Send the events that the topic does not hold yet.

    Args:
        settings: Kafka.
        recording: the events.
        pace: what `value` means.
        value: events a second, or times the original speed.
        stopping: ends the replay early when set; what was sent is still waited for.
        progress: told of how it stands about ten times a second.
        acknowledged: called with each event that Kafka has acknowledged and where it then stands.

    Raises:
        LogError: if the topic holds a replay of other data.
        Unreachable: if Kafka does not answer at the start.
    """
    ensure_topics(settings)
    source, events, headers = recording.source, recording.events, recording.headers
    places = present(settings, source)
    wanted = [
        (place, event)
        for place, event in enumerate(events)
        if place > places.get(partition_of(event.userid, settings.partitions), -1)
    ]
    report = Report(events=len(events), present=len(events) - len(wanted))
    started = time.monotonic()
    client = producer(settings, linger_ms=5, delivery_timeout_ms=FOR_EVER_MS)

    def written(event: Event, position: Any) -> None:
        acknowledged(event, position)
        report.sent += 1

    def refused(error: BaseException) -> None:
        report.failed += 1
        report.error = str(error)

    given = 0
    told = 0.0
    for place, event in paced(wanted, pace, value, stopping):
        while given - report.sent - report.failed >= IN_FLIGHT and not stopping.is_set():
            time.sleep(0.01)
        if report.failed:
            break
        key, body = encode(event)
        said = [(HEADER, f"{source}:{place}".encode()), *(headers[place] if headers else ())]
        future = client.send(settings.topic, key=key, value=body, headers=said)
        future.add_callback(written, event)
        future.add_errback(refused)
        given += 1
        if time.monotonic() - told > 0.1:
            told = time.monotonic()
            report.seconds = told - started
            progress(report)
    while given > report.sent + report.failed and not report.failed:
        time.sleep(0.02)
        report.seconds = time.monotonic() - started
        progress(report)
    if report.failed:
        abandon(client)
    else:
        client.close(timeout=10)
    report.seconds = time.monotonic() - started
    progress(report)
    if report.failed:
        raise Unreachable(
            f"Kafka refused an event ({report.error}); run the replay again; it continues where it stopped"
        )
    return report


def present(settings: KafkaSettings, source: str) -> dict[int, int]:
    """Place of the last event of the replay in each partition of the topic.

    Raises:
        LogError: if the topic holds a replay of other data.
    """
    log = Log(settings)
    try:
        last = log.last_header(HEADER)
    finally:
        log.close()
    places = {}
    for partition, value in last.items():
        origin, _, place = value.rpartition(":")
        if origin != source:
            raise LogError(
                f"topic {settings.topic} holds a replay of other data; `reelstream publish --reset` starts over"
            )
        places[partition] = int(place)
    return places


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
