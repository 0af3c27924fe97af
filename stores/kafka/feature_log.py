"""The feature log: the ranker's inputs as they were before each event, in the topic `ratings.features`.

One message holds consecutive events of one partition of the ratings, as msgpack: columns as raw little-endian arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgpack
import numpy as np
import numpy.typing as npt

from features import DENSE_COLUMNS, Recent
from features.version import FEATURE_LOG_VERSION, FIRST_FEATURE_LOG
from settings import KafkaSettings
from stores.kafka.producer import Record, Refused, Sender

Ints = npt.NDArray[np.int64]

MOST = 1000
"""Events in a message; 1,000 take about 200 KB, and as much again where many are sampled."""

MOST_BYTES = 900 << 10
"""Size of a message; Kafka takes 1 MiB."""

WITHIN_S = 10.0
"""Seconds that Kafka gets to take a batch, before it is tried again."""


class FeatureLogError(ValueError):
    """A message that is not a batch of the feature log."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """The ranker's inputs for scoring an event as of the moment before it.

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
        rows: FP32 [N, columns], named as in `features.DENSE_COLUMNS`.
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
                    (event.place, event.gender, event.age, event.occupation, event.n, event.recent, event.user)
                    for event in self.sampled
                ],
                FEATURE_LOG_VERSION,
            ]
        )
        return packed

    @classmethod
    def unpack(cls, packed: bytes | None) -> FeatureBatch:
        """Undo `pack`.

        Raises:
            FeatureLogError: if `pack` did not make it.
        """
        try:
            batch = cls._unpack(packed or b"")
        except (ValueError, TypeError, KeyError, RecursionError, msgpack.UnpackException) as error:
            raise FeatureLogError(
                f"is not a batch of the feature log ({str(error) or type(error).__name__})"
            ) from error
        places = [event.place for event in batch.sampled]
        if not len(batch) or places != sorted({*places} & {*range(len(batch))}):
            raise FeatureLogError("is a batch of the feature log with samples that are not in it")
        if batch.partition < 0 or (np.diff(batch.offset, prepend=-1) <= 0).any():
            raise FeatureLogError("is a batch of the feature log whose offsets do not ascend")
        return batch

    @classmethod
    def _unpack(cls, packed: bytes) -> FeatureBatch:
        partition, columns, created, rows, sampled, *rest = msgpack.unpackb(packed, use_list=True)
        (version,) = rest or [FIRST_FEATURE_LOG]
        if version != FEATURE_LOG_VERSION:
            raise ValueError(f"its features are of the version {version}, not {FEATURE_LOG_VERSION}")
        times = np.frombuffer(created, dtype=np.float64)
        offset, ts, userid, itemid, rating = np.frombuffer(columns, dtype=np.int64).reshape(5, len(times))
        if type(partition) is not int:
            raise TypeError("partition")
        return cls(
            partition,
            offset,
            ts,
            userid,
            itemid,
            rating,
            times,
            np.frombuffer(rows, dtype=np.float32).reshape(len(times), len(DENSE_COLUMNS)),
            [_sampled(*fields) for fields in sampled],
        )

    def parts(self) -> list[FeatureBatch]:
        """The batch in parts that a message takes."""
        if len(self) <= MOST:
            return [self]
        return [self.part(slice(start, start + MOST)) for start in range(0, len(self), MOST)]

    def part(self, at: slice) -> FeatureBatch:
        """The events at some consecutive places."""
        sampled = [replace(event, place=event.place - at.start) for event in self.sampled]
        return FeatureBatch(
            self.partition,
            self.offset[at],
            self.ts[at],
            self.userid[at],
            self.itemid[at],
            self.rating[at],
            self.created[at],
            self.rows[at],
            [event for event in sampled if 0 <= event.place < at.stop - at.start],
        )


def _sampled(
    place: int, gender: int, age: int, occupation: int, n: int, recent: list[Recent], user: list[int]
) -> Sampled:
    """A sample as it was packed; raises TypeError or ValueError where it was not."""
    numbers = [place, gender, age, occupation, n, *user]
    for ts, itemid, rating in recent:
        numbers += (ts, itemid, rating)
    if any(type(number) is not int for number in numbers):
        raise TypeError("a sample holds what is not a number")
    return Sampled(place, gender, age, occupation, n, recent, user)


class DriftTopics:
    """Writes the feature log and the alarms; each call returns once Kafka has what it wrote."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._send = Sender(settings, WITHIN_S)

    def log(self, batches: Sequence[FeatureBatch]) -> list[Refused]:
        """Append batches; the messages that Kafka refuses for good.

        Raises:
            Unreachable: if Kafka does not answer; it may or may not have them.
        """
        messages = [
            Record(str(batch.partition).encode(), packed)
            for batch in batches
            for part in batch.parts()
            for packed in fitting(part)
        ]
        return list(self._send(self._settings.features_topic, messages).values())

    def tell(self, alarms: Sequence[tuple[str, str]]) -> list[Refused]:
        """Append alarms as (key, JSON); those that Kafka refuses for good.

        Raises:
            Unreachable: if Kafka does not answer; it may or may not have them.
        """
        records = [Record(key.encode(), text.encode()) for key, text in alarms]
        return list(self._send(self._settings.alarms_topic, records).values())


def fitting(batch: FeatureBatch) -> list[bytes]:
    """A batch as messages of at most MOST_BYTES: cut in halves, and at last without its samples."""
    packed = batch.pack()
    if len(packed) <= MOST_BYTES:
        return [packed]
    if len(batch) == 1:
        return [replace(batch, sampled=[]).pack()]
    half = len(batch) // 2
    return [*fitting(batch.part(slice(0, half))), *fitting(batch.part(slice(half, len(batch))))]
