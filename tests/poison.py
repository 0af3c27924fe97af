"""Records that broke a reader once, and a producer that sends what no library lets one send."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing

from kafka import TopicPartition
from kafka.producer import producer_batch

from settings import KafkaSettings
from stores import producer

MIB = 2**20

# The log takes headers without a value; the producer's own bookkeeping does not, as it asks for their length.
producer_batch.len = lambda value: 0 if value is None else len(value)


class AnyName(str):
    """A header's name that is encoded as bytes that are not UTF-8."""

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


HEADERS: dict[str, list[tuple[str, bytes | None]]] = {
    "broken without a value": [("broken", None)],
    "broken with junk": [("broken", b"\xff\x00=")],
    "a name that is not UTF-8": [(AnyName("x"), b"1")],
    "a name that is not UTF-8, without a value": [(AnyName("x"), None)],
    "no name": [("", b"")],
    "a thousand": [(f"name {number}", b"") for number in range(1000)],
}

FEATURE_LOG = [None, b"", b"\xc1 junk", b"\x95\x00\xc0\xc0\xc0\xc0", b"\x90", b"{}"]
"""Messages of the feature log that are none."""

COMPRESSIONS = ("gzip", "snappy", "lz4", "zstd")


def send_raw(
    settings: KafkaSettings,
    topic: str,
    partition: int,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes | None]] = (),
    compression: str | None = None,
) -> int:
    """Append a record as it is, past the checks of the library; its offset."""
    with closing(producer(settings, compression_type=compression, max_request_size=64 * MIB)) as client:
        client.partitions_for(topic)
        where = TopicPartition(topic, partition)
        sent, *_ = client._accumulator.append(where, int(1000 * time.time()), key, value, list(headers))
        client.flush(timeout=30)
        return sent.get(timeout=30).offset
