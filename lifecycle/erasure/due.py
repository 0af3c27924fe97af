"""The erasures whose time has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from features import Erasure, EventError, Id, LogRecord, Schema, id_text
from stores import Logged, decode_event, partition_of
from stores.archive.archive import Archive
from stores.kafka.epochs import Epochs
from stores.kafka.record_owner import is_of_item

LONGEST_NUMBER = 20
"""Digits of the longest key that is taken for a number."""


@dataclass(frozen=True)
class Due:
    """Erasures of a partition.

    Attributes:
        offsets: of the last erasure of each user.
        left: erasures whose time has not come.
    """

    offsets: dict[Id, int] = field(default_factory=dict)
    left: int = 0

    @property
    def end(self) -> int:
        """The offset after the last of them; 0 where there is none."""
        return max(self.offsets.values(), default=-1) + 1

    def before(self, end: int) -> Due:
        """The same for the records before an offset alone."""
        return Due({userid: min(offset, end - 1) for userid, offset in self.offsets.items()}, self.left)

    def is_of_erased(self, record: Logged) -> bool:
        """Tell whether a record is of a user, and not after the erasure."""
        key = record.key or b""
        # A number may have zeros before it there, as what is appended by others has.
        number = int(key) if key.isdigit() and len(key) <= LONGEST_NUMBER else -1
        erased = max(self.offsets.get(number, -1), self._by_key.get(key, -1))
        return record.offset <= erased and not is_of_item(record.value)

    @cached_property
    def _by_key(self) -> dict[bytes, int]:
        """The offsets by the users' keys in the log."""
        return {id_text(userid).encode(): offset for userid, offset in self.offsets.items()}


@dataclass(frozen=True)
class Rules:
    """The rules by which a record is an event.

    Attributes:
        schema: of the data set.
        epochs: of the log.
        max_future_s: seconds by which an event may be later than its append time.
    """

    schema: Schema
    epochs: Epochs
    max_future_s: float

    def event(self, record: Logged) -> LogRecord | None:
        """The event of a record, as `decode_event` gives it; raises EventError."""
        partitions = self.epochs.spread(record.partition, record.offset)
        return decode_event(record, self.schema, partitions, self.max_future_s)

    def reason(self, record: Logged) -> str:
        """Why a record is dead; empty for one that is not."""
        try:
            self.event(record)
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
    offsets, left = dict[Id, int](), 0
    for file in archive.files(partition):
        for record in archive.read(file):
            if b'"erase"' not in (record.value or b""):
                continue
            try:
                event = rules.event(record)
            except EventError:
                continue
            if not isinstance(event, Erasure):
                continue
            if record.offset <= applied and record.created <= before_s:
                offsets[event.userid] = record.offset
            else:
                left += 1
    return Due(offsets, left)


def with_former_homes(dues: Mapping[int, Due], epochs: Epochs) -> dict[int, Due]:
    """Add what users have in partitions that were theirs before the log got more; without partitions that have nothing.

    An erasure erases all that its user has in the epochs before its own.
    """
    found = {partition: dict(each.offsets) for partition, each in dues.items()}
    for partition, each in dues.items():
        for userid, offset in each.offsets.items():
            for epoch in epochs.ended:
                if partition < len(epoch.ends) and offset < epoch.ends[partition]:
                    break
                home = partition_of(userid, epoch.partitions)
                if epoch.ends[home] > 0:
                    last = found.setdefault(home, {})
                    last[userid] = max(last.get(userid, -1), epoch.ends[home] - 1)
    left = {partition: each.left for partition, each in dues.items()}
    return {partition: Due(offsets, left.get(partition, 0)) for partition, offsets in found.items() if offsets}


def users(dues: Mapping[int, Due]) -> set[Id]:
    """The users of all partitions."""
    return {userid for each in dues.values() for userid in each.offsets}
