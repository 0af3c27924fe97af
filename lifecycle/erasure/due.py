"""The erasures whose time has come."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from features import Erasure, EventError
from stores import Logged, decode_event
from stores.archive.archive import Archive


@dataclass(frozen=True)
class Due:
    """Erasures of a partition.

    Attributes:
        offsets: of the last erasure of each user.
        left: erasures whose time has not come.
    """

    offsets: dict[int, int] = field(default_factory=dict)
    left: int = 0

    @property
    def end(self) -> int:
        """The offset after the last of them; 0 where there is none."""
        return max(self.offsets.values(), default=-1) + 1

    def is_of_erased(self, record: Logged) -> bool:
        """Tell whether a record is of a user, and not after the erasure."""
        key = record.key or b""
        return key.isdigit() and record.offset <= self.offsets.get(int(key), -1)


@dataclass(frozen=True)
class Rules:
    """What makes a record an event.

    Attributes:
        items: the catalogue.
        partitions: of the log.
        max_future_s: seconds by which an event may be later than its append time.
    """

    items: Container[int]
    partitions: int
    max_future_s: float

    def reason(self, record: Logged) -> str:
        """Why a record is dead; empty for one that is not."""
        try:
            decode_event(record, self.items, self.partitions, self.max_future_s)
        except EventError as error:
            return str(error)
        return ""


def due(archive: Archive, rules: Rules, partition: int, applied: int, before_s: float) -> Due:
    """The erasures of a partition in the archive that are to be completed.

    Args:
        archive: the archive.
        rules: of the log.
        partition: the partition.
        applied: offset up to which the state, and all that follows it, is written.
        before_s: unix seconds; the time of those that were appended before has come.

    Raises:
        ArchiveError: if the archive is damaged.
    """
    offsets, left = dict[int, int](), 0
    for file in archive.files(partition):
        for record in archive.read(file):
            if b'"erase"' not in (record.value or b""):
                continue
            try:
                event = decode_event(record, rules.items, rules.partitions, rules.max_future_s)
            except EventError:
                continue
            if not isinstance(event, Erasure):
                continue
            if record.offset <= applied and record.created <= before_s:
                offsets[event.userid] = record.offset
            else:
                left += 1
    return Due(offsets, left)


def users(dues: Mapping[int, Due]) -> set[int]:
    """The users of all partitions."""
    return {userid for each in dues.values() for userid in each.offsets}
