"""A file of records: raw records of one partition, in Parquet, named by the offsets that it covers and its hash.

    <first>-<last>-<sha256>.parquet, each offset with twenty digits

The columns are those of the record as Kafka has it, so that the file says nothing that depends on what a record means:

    offset        INT64
    appended_ms   INT64, unix milliseconds; 0 if the record has none
    key, value    BINARY or null
    headers       list of {name: BINARY, value: BINARY or null}, in their order

An offset that is covered and has no row never held an event: it is a transaction's marker, or belongs to a transaction
that was aborted, or to a loss that `reelstream adopt` has accepted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stores.errors import ArchiveError
from stores.kafka.record import Logged

RECORD_SCHEMA_VERSION = 1
VERSION_KEY = b"reelstream.schema_version"
NAME = re.compile(r"(\d{20})-(\d{20})-([0-9a-f]{64})\.parquet")

HEADER = pa.struct([pa.field("name", pa.binary(), nullable=False), pa.field("value", pa.binary())])
SCHEMA = pa.schema(
    [
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("appended_ms", pa.int64(), nullable=False),
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),
        pa.field("headers", pa.list_(HEADER), nullable=False),
    ],
    metadata={VERSION_KEY: str(RECORD_SCHEMA_VERSION).encode()},
)


@dataclass(frozen=True, slots=True, order=True)
class RecordFile:
    """A file of records, as its name describes it.

    Attributes:
        partition: of the log.
        first: first offset that it covers.
        end: the offset after the last that it covers.
        sha256: of its content.
    """

    partition: int
    first: int
    end: int
    sha256: str

    @property
    def name(self) -> str:
        """Its name in the folder of its partition."""
        return f"{self.first:020d}-{self.end - 1:020d}-{self.sha256}.parquet"

    @classmethod
    def parse(cls, partition: int, name: str) -> RecordFile | None:
        """Read a name; None if it is not that of a file of records."""
        match = NAME.fullmatch(name)
        return match and cls(partition, int(match[1]), int(match[2]) + 1, match[3])


def pack(records: Sequence[Logged]) -> bytes:
    """Write records of one partition, in the order of their offsets."""
    names = [name.encode("utf-8", "surrogatepass") for record in records for name, _ in record.headers]
    values = [value for record in records for _, value in record.headers]
    ends = [0]
    for record in records:
        ends.append(ends[-1] + len(record.headers))
    headers = pa.StructArray.from_arrays(
        [pa.array(names, pa.binary()), pa.array(values, pa.binary())], fields=list(HEADER)
    )
    table = pa.Table.from_arrays(
        [
            pa.array([record.offset for record in records], pa.int64()),
            pa.array([round(1000 * record.created) for record in records], pa.int64()),
            pa.array([record.key for record in records], pa.binary()),
            pa.array([record.value for record in records], pa.binary()),
            pa.ListArray.from_arrays(pa.array(ends, pa.int32()), headers, type=pa.list_(HEADER)),
        ],
        schema=SCHEMA,
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def read(path: Path, file: RecordFile) -> list[Logged]:
    """Read the records of a file, whose hash is checked.

    Raises:
        ArchiveError: if the file is missing or damaged, or has another schema version.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise damaged(path, f"cannot be read ({error.strerror})") from error
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise damaged(path, "does not match the hash in its name")
    records = unpack(file.partition, content, path.name)
    offsets = [record.offset for record in records]
    if offsets and not (file.first <= offsets[0] and offsets[-1] < file.end):
        raise damaged(path, "holds offsets beyond those that its name gives")
    return records


def unpack(partition: int, content: bytes, name: str) -> list[Logged]:
    """Read the records in the content of a file.

    Raises:
        ArchiveError: if it has another schema version.
    """
    table = pq.read_table(pa.BufferReader(content))
    version = (table.schema.metadata or {}).get(VERSION_KEY, b"")
    if version != str(RECORD_SCHEMA_VERSION).encode():
        raise ArchiveError(
            f"{name} in the archive has the schema version {version.decode(errors='replace') or 'none'}, this release "
            f"reads {RECORD_SCHEMA_VERSION}; use the release that wrote it"
        )
    offsets, appended, keys, values = (table.column(place).to_pylist() for place in range(4))
    headers = table.column(4).combine_chunks()
    if isinstance(headers, pa.ChunkedArray):
        headers = pa.concat_arrays(headers.chunks) if headers.num_chunks else pa.array([], pa.list_(HEADER))
    flat = headers.flatten()
    names = [header.decode("utf-8", "surrogatepass") for header in flat.field(0).to_pylist()]
    pairs = list(zip(names, flat.field(1).to_pylist(), strict=True))
    ends = headers.offsets.to_pylist()
    ends = [end - ends[0] for end in ends]
    return [
        Logged(partition, offset, key, value, tuple(pairs[ends[place] : ends[place + 1]]), ms / 1000)
        for place, (offset, ms, key, value) in enumerate(zip(offsets, appended, keys, values, strict=True))
    ]


def damaged(path: Path, what: str) -> ArchiveError:
    """The error of a file that is not as it was written."""
    return ArchiveError(f"{path} of the archive {what}; restore it from a backup")
