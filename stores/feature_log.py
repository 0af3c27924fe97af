"""The feature log: the ranker's inputs as they stood before each event, in the topic `ratings.features`.

One message holds consecutive events of one partition of the ratings, as msgpack: columns as raw little-endian arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgpack
import numpy as np
import numpy.typing as npt

from features import DENSE_COLUMNS, Recent
from settings import KafkaSettings
from stores.sender import Sender

Ints = npt.NDArray[np.int64]

MOST = 1000
"""Events in a message; 1,000 take about 200 KB, and Kafka takes 1 MB."""

WITHIN_S = 10.0
"""Seconds that Kafka gets to take a batch, before it is tried again."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """What the ranker needs to score an event as it would have been just before it.

    Attributes:
        place: of the event in its batch.
        gender, age, occupation: of its user.
        n: items that the user had rated.
        recent: the events that the profile held.
        user: the user's features (see `features.columns.row_values`); empty where no list is to be made.
    """

    place: int
    gender: int
    age: int
    occupation: int
    n: int
    recent: list[Recent]
    user: list[int]


@dataclass(frozen=True)
class FeatureBatch:
    """Events of one partition with the ranker's dense input before each.

    Attributes:
        partition: of the ratings.
        offset, ts, userid, itemid, rating: of each event, INT64 [N].
        created: when each was sent, in unix seconds, FP64 [N].
        rows: FP32 [N, 32], columns as in `features.DENSE_COLUMNS`.
        sampled: events to be scored.
    """

    partition: int
    offset: Ints
    ts: Ints
    userid: Ints
    itemid: Ints
    rating: Ints
    created: npt.NDArray[np.float64]
    rows: npt.NDArray[np.float32]
    sampled: list[Sampled] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.offset)

    def pack(self) -> bytes:
        """As it stands in the log."""
        columns = (self.offset, self.ts, self.userid, self.itemid, self.rating)
        packed: bytes = msgpack.packb(
            [
                self.partition,
                np.stack(columns).tobytes(),
                self.created.tobytes(),
                self.rows.tobytes(),
                [
                    (each.place, each.gender, each.age, each.occupation, each.n, each.recent, each.user)
                    for each in self.sampled
                ],
            ]
        )
        return packed

    @classmethod
    def unpack(cls, packed: bytes) -> FeatureBatch:
        """What `pack` made."""
        partition, columns, created, rows, sampled = msgpack.unpackb(packed, use_list=True)
        times = np.frombuffer(created, dtype=np.float64)
        offset, ts, userid, itemid, rating = np.frombuffer(columns, dtype=np.int64).reshape(5, len(times))
        return cls(
            partition,
            offset,
            ts,
            userid,
            itemid,
            rating,
            times,
            np.frombuffer(rows, dtype=np.float32).reshape(len(times), len(DENSE_COLUMNS)),
            [Sampled(*each) for each in sampled],
        )

    def parts(self) -> list[FeatureBatch]:
        """The batch in parts that a message takes."""
        if len(self) <= MOST:
            return [self]
        return [self._part(slice(start, start + MOST)) for start in range(0, len(self), MOST)]

    def _part(self, at: slice) -> FeatureBatch:
        sampled = [replace(each, place=each.place - at.start) for each in self.sampled]
        return FeatureBatch(
            self.partition,
            self.offset[at],
            self.ts[at],
            self.userid[at],
            self.itemid[at],
            self.rating[at],
            self.created[at],
            self.rows[at],
            [each for each in sampled if 0 <= each.place < MOST],
        )


class DriftTopics:
    """Writes the feature log and the alarms; each call returns once Kafka has what it wrote."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._send = Sender(settings, WITHIN_S)

    def log(self, batches: Sequence[FeatureBatch]) -> None:
        """Append batches.

        Raises:
            Unreachable: if Kafka does not answer; it may or may not have them.
        """
        messages = [(str(batch.partition).encode(), part.pack()) for batch in batches for part in batch.parts()]
        self._send(self._settings.features_topic, messages)

    def tell(self, alarms: Sequence[tuple[str, str]]) -> None:
        """Append alarms as (key, JSON).

        Raises:
            Unreachable: if Kafka does not answer; it may or may not have them.
        """
        self._send(self._settings.alarms_topic, [(key.encode(), text.encode()) for key, text in alarms])
