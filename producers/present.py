"""The events of a replay that the log holds already."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from features.ids import Id
from stores import Log, partition_of
from stores.kafka.epochs import Epochs
from stores.kafka.record import GONE, Logged

if TYPE_CHECKING:
    from stores.archive.whole_log import WholeLog

HEADER = "replay"
"""Header of an event of a replay: the source of the data, a colon, and the event's place."""


PLACE = re.compile(r"[0-9]{1,18}")


class OtherReplay(Exception):
    """The log holds a replay of other data."""


class Present:
    """The events of a replay that a log holds, by their places.

    A log that was trimmed without an archive, or from which users were erased, no longer tells of each event whether it
    was there. In such a partition everything before the last event of the replay counts as present, so that nobody who
    was erased comes back.

    Args:
        source: names the data of the replay.
        events: number of events of the replay.
        epochs: those of the log.
    """

    def __init__(self, source: str, events: int, epochs: Epochs) -> None:
        self._source, self._epochs = source, epochs
        self._held = bytearray(events)
        self._last: dict[tuple[int, int], int] = {}
        self._incomplete: set[int] = set()

    def read(self, log: Log | WholeLog) -> None:
        """Take all that a log holds, from its beginning.

        Raises:
            OtherReplay: if it is a replay of other data.
            Unreachable: if Kafka does not answer.
        """
        self._incomplete |= {partition for partition, begin in log.begins().items() if begin > 0}
        for records in log.read_to(log.ends()):
            for record in records:
                self.add(record)

    def add(self, record: Logged) -> None:
        """Take a record; raises OtherReplay if it belongs to a replay of other data."""
        for name, value in record.headers:
            if name == GONE:
                self._incomplete.add(record.partition)
            elif name == HEADER and value is not None:
                source, _, place = value.decode(errors="replace").rpartition(":")
                if source != self._source:
                    raise OtherReplay
                if PLACE.fullmatch(place):
                    self._hold(record, int(place))

    def _hold(self, record: Logged, place: int) -> None:
        if place < len(self._held):
            self._held[place] = True
        # Where a gap was filled, the last in the log is not the last of the replay.
        home = self._epochs.spread(record.partition, record.offset), record.partition
        self._last[home] = max(place, self._last.get(home, -1))

    def holds(self, place: int, userid: Id) -> bool:
        """Return True if the log holds, or held, the event of a user at a place of the replay."""
        return bool(self._held[place]) or place <= self._told(userid)

    def _told(self, userid: Id) -> int:
        """The last place of the replay in the user's partitions that are incomplete; -1 where there is none."""
        numbers = {self._epochs.partitions, *(epoch.partitions for epoch in self._epochs.ended)}
        homes = ((number, partition_of(userid, number)) for number in numbers)
        return max((self._last.get(home, -1) for home in homes if home[1] in self._incomplete), default=-1)
