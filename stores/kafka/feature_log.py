"""The feature log: the ranker's inputs as they were before each event, in the topic `ratings.features`.

One message holds consecutive events of one partition of the events, as msgpack: columns as raw little-endian arrays,
and ids that are texts as lists after the version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt

from features.ids import Id, IdKind
from features.profile import Recent
from features.schema import Schema
from features.version import FIRST_FEATURE_LOG
from features.weights import Weights
from settings import KafkaSettings
from stores.kafka.producer import Record, Refused, Sender
from stores.packed_weights import pack_weights, unpack_weights

Ints = npt.NDArray[np.int64]
Ids = npt.NDArray[Any]
"""Ids: INT64, or objects where they are texts."""

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
        attributes: codes of its user's, in the order of the schema.
        n: of the user's profile.
        recent: the events that the profile held.
        user: the user's features (see `features.columns.row_values`); empty where no list is to be made.
        weights: of the terms in the user's profile; empty where no list is to be made.
    """

    place: int
    attributes: list[int]
    n: int
    recent: list[Recent]
    user: list[int]
    weights: Weights

    def packed(self) -> tuple[Any, ...]:
        """As it is packed with its batch."""
        return (self.place, *self.attributes, self.n, self.recent, self.user, pack_weights(self.weights))


@dataclass(frozen=True)
class FeatureBatch:
    """Events of one partition with the ranker's dense input before each.

    Attributes:
        partition: of the log.
        offset, ts, code: of each event, INT64 [N].
        userid, itemid: of each event, INT64 [N], or objects [N] where ids are texts.
        created: when each was sent, in unix seconds, FP64 [N].
        rows: FP32 [N, columns], named as in the schema's `dense_columns`.
        sampled: events to be scored.
    """

    partition: int
    offset: Ints
    ts: Ints
    userid: Ids
    itemid: Ids
    code: Ints
    created: npt.NDArray[np.float64]
    rows: npt.NDArray[np.float32]
    sampled: list[Sampled] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.offset)

    @cached_property
    def userids(self) -> list[Id]:
        """The ids of the users."""
        ids: list[Id] = self.userid.tolist()
        return ids

    @cached_property
    def itemids(self) -> list[Id]:
        """The ids of the items."""
        ids: list[Id] = self.itemid.tolist()
        return ids

    def pack(self, schema: Schema) -> bytes:
        """As it stands in the log."""
        ids = tuple(zip((schema.user_ids, schema.item_ids), (self.userid, self.itemid), strict=True))
        numbers = [column for kind, column in ids if kind is IdKind.INTEGER]
        texts = [column.tolist() for kind, column in ids if kind is IdKind.STRING]
        columns = (self.offset, self.ts, *numbers, self.code)
        packed: bytes = msgpack.packb(
            [
                self.partition,
                np.stack(columns).tobytes(),
                self.created.tobytes(),
                self.rows.tobytes(),
                [event.packed() for event in self.sampled],
                schema.feature_log_version,
                *texts,
            ]
        )
        return packed

    @classmethod
    def unpack(cls, packed: bytes | None, schema: Schema) -> FeatureBatch:
        """Undo `pack`.

        Raises:
            FeatureLogError: if `pack` did not make it.
        """
        try:
            batch = cls._unpack(packed or b"", schema)
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
    def _unpack(cls, packed: bytes, schema: Schema) -> FeatureBatch:
        partition, columns, created, rows, sampled, *rest = msgpack.unpackb(packed, use_list=True)
        version, *texts = rest or [FIRST_FEATURE_LOG]
        if version != schema.feature_log_version:
            raise ValueError(f"its features are of the version {version}, not {schema.feature_log_version}")
        if type(partition) is not int:
            raise TypeError("partition")
        kinds = (schema.user_ids, schema.item_ids)
        times = np.frombuffer(created, dtype=np.float64)
        width = 3 + kinds.count(IdKind.INTEGER)
        offset, ts, *numbers, code = np.frombuffer(columns, dtype=np.int64).reshape(width, len(times))
        if not ((code > 0) & (code < schema.codes.size)).all():
            raise ValueError("it has codes that no event has")
        if len(texts) != kinds.count(IdKind.STRING):
            raise ValueError("its ids are of another kind")
        ids = {IdKind.INTEGER: iter(numbers), IdKind.STRING: iter([_texts(each, len(times)) for each in texts])}
        userid, itemid = [next(ids[kind]) for kind in kinds]
        return cls(
            partition,
            offset,
            ts,
            userid,
            itemid,
            code,
            times,
            np.frombuffer(rows, dtype=np.float32).reshape(len(times), len(schema.dense_columns)),
            [_sampled(schema, fields) for fields in sampled],
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
            self.code[at],
            self.created[at],
            self.rows[at],
            [event for event in sampled if 0 <= event.place < at.stop - at.start],
        )


def ids_array(ids: Sequence[Id], kind: IdKind) -> Ids:
    """Ids of a kind as an array, INT64 or of objects."""
    return np.array(ids, dtype=np.int64 if kind is IdKind.INTEGER else object)


def _texts(ids: Any, count: int) -> Ids:
    """Ids of events that are texts; raises TypeError where they are not."""
    if len(ids) != count or any(type(text) is not str for text in ids):
        raise TypeError("an event has an id that is no text")
    return ids_array(ids, IdKind.STRING)


def _sampled(schema: Schema, fields: list[Any]) -> Sampled:
    """A sample as it was packed; raises TypeError or ValueError where it was not."""
    place, *attributes, n, recent, user, weights = fields
    if len(attributes) != len(schema.user_attributes):
        raise ValueError("a sample has other attributes of its user")
    numbers = [place, *attributes, n, *user]
    for ts, itemid, code in recent:
        numbers += (ts, code)
        if not schema.item_ids.valid(itemid):
            raise TypeError("a sample holds what is no id")
    if any(type(number) is not int for number in numbers):
        raise TypeError("a sample holds what is not a number")
    if not all(0 < code < schema.codes.size for _, _, code in recent):
        raise ValueError("a sample holds codes that no event has")
    return Sampled(place, attributes, n, recent, user, unpack_weights(schema, weights) if weights else [])


class DriftTopics:
    """Writes the feature log and the alarms; each call returns once Kafka has what it wrote."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._send = Sender(settings, WITHIN_S)

    def log(self, batches: Sequence[FeatureBatch], schema: Schema) -> list[Refused]:
        """Append batches of a data set; the messages that Kafka refuses for good.

        Raises:
            Unreachable: if Kafka does not answer; it may or may not have them.
        """
        messages = [
            Record(str(batch.partition).encode(), packed)
            for batch in batches
            for part in batch.parts()
            for packed in fitting(part, schema)
        ]
        return list(self._send(self._settings.features_topic, messages).values())

    def tell(self, alarms: Sequence[tuple[str, str]]) -> list[Refused]:
        """Append alarms as (key, JSON); those that Kafka refuses for good.

        Raises:
            Unreachable: if Kafka does not answer; it may or may not have them.
        """
        records = [Record(key.encode(), text.encode()) for key, text in alarms]
        return list(self._send(self._settings.alarms_topic, records).values())


def fitting(batch: FeatureBatch, schema: Schema) -> list[bytes]:
    """A batch as messages of at most MOST_BYTES: cut in halves, and at last without its samples."""
    packed = batch.pack(schema)
    if len(packed) <= MOST_BYTES:
        return [packed]
    if len(batch) == 1:
        return [replace(batch, sampled=[]).pack(schema)]
    half = len(batch) // 2
    return [*fitting(batch.part(slice(0, half)), schema), *fitting(batch.part(slice(half, len(batch))), schema)]
