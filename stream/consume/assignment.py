"""The partitions of a topic that Kafka has assigned to this worker, and what waits in them."""

from __future__ import annotations

import faust
from faust.types import TP

from stream.consume.progress import Progress


class Assignment:
    """The partitions of a topic that this worker holds now. Kafka may take one away at any moment.

    Args:
        app: the application that consumes the topic.
        topic: the topic.
    """

    def __init__(self, app: faust.App, topic: str) -> None:
        self._app, self._topic = app, topic

    def __contains__(self, partition: int) -> bool:
        return TP(self._topic, partition) in self._app.consumer.assignment()

    @property
    def partitions(self) -> set[int]:
        """The partitions."""
        return {held.partition for held in self._app.consumer.assignment() if held.topic == self._topic}

    def end(self, partition: int) -> int | None:
        """Offset of the next event of a partition, as Kafka told it last; None where it has not."""
        end: int | None = self._app.consumer.highwater(TP(self._topic, partition))
        return end


class Backlog:
    """The events that wait for this worker.

    Args:
        assignment: the partitions that it holds.
        progress: how far they are folded.
    """

    def __init__(self, assignment: Assignment, progress: Progress) -> None:
        self._assignment, self._progress = assignment, progress

    def by_partition(self) -> dict[int, int]:
        """Events that are not folded yet, by partition; 0 where another worker holds it, or that is not known yet."""
        held = self._assignment.partitions
        return {
            partition: self._waiting(partition) if partition in held else 0
            for partition in range(self._progress.partitions)
        }

    def total(self) -> int:
        """Events of all partitions that are not folded yet."""
        return sum(map(self._waiting, self._assignment.partitions))

    def _waiting(self, partition: int) -> int:
        end, last = self._assignment.end(partition), self._progress.last(partition)
        return 0 if end is None or last is None else max(0, end - 1 - last)
