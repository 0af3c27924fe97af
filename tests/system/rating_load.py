"""Ratings at a steady rate."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Self

from features import Event
from stores import producer
from tests.movielens import encode
from tests.system.conftest import System

EVERY_S = 0.1


class RatingLoad:
    """Ratings of random users and items at a steady rate, some records malformed, until it is stopped.

    Args:
        system: the running system.
        rate: ratings per second.
        malformed_every: ratings after which there is a record that is no event.

    Attributes:
        sent: events that Kafka acknowledged.
        malformed: records among them that are not events.
        failure: the error that ended it; None for none.
    """

    def __init__(self, system: System, rate: int, malformed_every: int) -> None:
        self._system, self._rate, self._malformed_every = system, rate, malformed_every
        self._stopping = threading.Event()
        self._sender = threading.Thread(target=self._send)
        self.sent: list[Event] = []
        self.malformed = 0
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Begin."""
        self._sender.start()

    def stop(self) -> None:
        """End it."""
        self._stopping.set()
        self._sender.join()

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Run it meanwhile."""
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def _send(self) -> None:
        system, rng = self._system, random.Random(7)
        users, items = sorted({event.userid for event in system.events}), system.catalogue_items()
        ts = max(event.ts for event in system.events)
        with closing(producer(system.settings.kafka)) as kafka:
            while not self._stopping.wait(EVERY_S):
                ts += 1
                events = [
                    Event(rng.choice(users), rng.choice(items), rng.randint(1, 5), ts)
                    for _ in range(int(self._rate * EVERY_S))
                ]
                records = [(*encode(event), system.partition(event.userid)) for event in events]
                if len(self.sent) // self._malformed_every > self.malformed:
                    records.append((b"1", b"not an event", system.partition(1)))
                try:
                    system.send(records, kafka)
                except BaseException as error:
                    self.failure = error
                    return
                self.sent += events
                self.malformed += len(records) - len(events)
