"""Epochs of the log: how many partitions the keys of its records were spread over.

Partitions are only ever added to the topic. Records stay in the partitions that they are in, so what partition a key
belongs to changes at one offset of each partition. Up to there the log is one epoch; the newest epoch has no end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from features.ids import Id
from stores.kafka.record import partition_of


class Epoch(BaseModel, frozen=True):
    """An epoch that has ended.

    Attributes:
        partitions: partitions that the keys of its records are spread over.
        ends: by partition, the offset after its last record.
    """

    partitions: int
    ends: tuple[int, ...]


@dataclass(frozen=True)
class Epochs:
    """The epochs of a log.

    Attributes:
        partitions: of the topic, in the newest epoch.
        ended: the epochs before that, oldest first.
    """

    partitions: int
    ended: Sequence[Epoch] = ()

    def spread(self, partition: int, offset: int) -> int:
        """Number of partitions that the key of a record was spread over.

        >>> epochs = Epochs(4, [Epoch(partitions=2, ends=(10, 7))])
        >>> epochs.spread(0, 9), epochs.spread(0, 10), epochs.spread(3, 0)
        (2, 4, 4)
        """
        number = self.number(partition, offset)
        return self.ended[number].partitions if number < len(self.ended) else self.partitions

    def number(self, partition: int, offset: int) -> int:
        """Place of a record's epoch among all epochs, oldest first; the newest is `len(ended)`.

        >>> epochs = Epochs(4, [Epoch(partitions=2, ends=(10, 7))])
        >>> epochs.number(0, 9), epochs.number(0, 10), epochs.number(3, 0)
        (0, 1, 1)
        """
        for number, epoch in enumerate(self.ended):
            if partition < len(epoch.ends) and offset < epoch.ends[partition]:
                return number
        return len(self.ended)

    @property
    def begins(self) -> dict[int, int]:
        """By partition, the offset at which the newest epoch begins.

        >>> Epochs(4, [Epoch(partitions=2, ends=(10, 7))]).begins
        {0: 10, 1: 7, 2: 0, 3: 0}
        """
        ends = self.ended[-1].ends if self.ended else ()
        return {partition: ends[partition] if partition < len(ends) else 0 for partition in range(self.partitions)}

    def stages(self, ends: Mapping[int, int]) -> list[dict[int, int]]:
        """The offsets up to before which to read, one epoch after the other, so that a user's events keep their order.

        Where events of the newest epoch are read, all of the others are.

        Args:
            ends: by partition, the offset up to before which the log is to be read.

        >>> Epochs(3, [Epoch(partitions=2, ends=(10, 7))]).stages({0: 12, 1: 7, 2: 5})
        [{0: 10, 1: 7, 2: 0}, {0: 12, 1: 7, 2: 5}]
        """
        stages = [
            {partition: epoch.ends[partition] if partition < len(epoch.ends) else 0 for partition in ends}
            for epoch in self.ended
        ]
        last = stages[-1] if stages else {}
        return [*stages, {partition: max(end, last.get(partition, 0)) for partition, end in ends.items()}]

    def homes(self, userid: Id) -> list[int]:
        """The partitions that a user's records may be in, each once, oldest epoch first.

        >>> Epochs(16, [Epoch(partitions=8, ends=(1,) * 8)]).homes(2), Epochs(8).homes(2)
        ([0, 8], [0])
        """
        numbers = [*(epoch.partitions for epoch in self.ended), self.partitions]
        return list(dict.fromkeys(partition_of(userid, number) for number in numbers))
