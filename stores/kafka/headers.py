"""Header names that are not UTF-8, which neither client library survives.

Kafka takes any bytes for the name of a header. kafka-python and aiokafka decode names as UTF-8 while they unpack a
fetched batch; the error leaves the consumer before its position has moved, so that every later fetch fails at the same
record: one such record stops every reader of the partition for good. Here such names are decoded with backslashes
(`b"\\xff"` becomes `\\xff`), and everything else is left as it is. `tolerate_any_header` is called where kafka-python
is first imported; `stream.consume.fetching` does the same for aiokafka.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafka.record.default_records import DefaultRecordBatch


class _Name(bytearray):
    """Bytes that can always be decoded."""

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, "backslashreplace")


class _Buffer(bytearray):
    """A buffer whose slices can always be decoded."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Name(found) if isinstance(at, slice) else found


def tolerant(read: Callable[..., Any]) -> Callable[..., Any]:
    """The method `_read_msg` of a batch, reading a record a second time where a name cannot be decoded.

    It moves on in the batch at its end only, so that a record can be read again.
    """

    def read_any(self: Any, *args: Any) -> Any:
        try:
            return read(self, *args)
        except UnicodeDecodeError:
            self._buffer = _Buffer(self._buffer)
            return read(self, *args)

    return read_any


def tolerate_any_header() -> None:
    """Have kafka-python read headers of any name."""
    if not getattr(DefaultRecordBatch, "tolerant", False):
        DefaultRecordBatch._read_msg = tolerant(DefaultRecordBatch._read_msg)
        DefaultRecordBatch.tolerant = True
