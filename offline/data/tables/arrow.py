"""Arrow arrays from and to NumPy.

Functions of pyarrow that take or make Python values or NumPy arrays import pandas, which takes longer than reading a
million events; these work on buffers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Flags = npt.NDArray[np.bool_]


def flags(values: Flags) -> Any:
    """Booleans as an Arrow array."""
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, _bits(values)])


def numbers(values: npt.NDArray[Any], null: Flags | None = None) -> Any:
    """INT64 or FP64 as an Arrow array, null where `null` is True."""
    kind = pa.float64() if values.dtype == np.float64 else pa.int64()
    data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(kind, len(values), [None if null is None else _bits(~null), data])


def strings(texts: Sequence[str | None]) -> Any:
    """Texts as an Arrow array, null for None."""
    encoded = [(text or "").encode() for text in texts]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int32)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    valid = np.array([text is not None for text in texts], dtype=bool)
    buffers = [_bits(valid), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def null(values: Any) -> Flags:
    """True for each value of an Arrow array that is null."""
    if not values.null_count or values.buffers()[0] is None:
        return np.full(len(values), bool(values.null_count))
    return ~_unpacked(values, 0)


def true(values: Any) -> Flags:
    """True for each value of an Arrow array of booleans that is true; null is not."""
    return _unpacked(values, 1) & ~null(values)


def whole(values: Any, missing: int = 0) -> npt.NDArray[np.int64]:
    """An Arrow array of whole numbers as INT64, with a number in place of null."""
    return np.where(null(values), missing, _content(values.cast(pa.int64()), np.int64))


def real(values: Any) -> npt.NDArray[np.float64]:
    """An Arrow array of numbers as FP64, NaN for null."""
    return np.where(null(values), np.nan, _content(values.cast(pa.float64()), np.float64))


def where(keep: Flags, values: Any) -> Any:
    """An Arrow array with null where `keep` is False."""
    return pc.if_else(flags(keep), values, pa.nulls(len(values), values.type))


def _content(values: Any, dtype: type[Any]) -> npt.NDArray[Any]:
    buffer = values.buffers()[1]
    if buffer is None:
        return np.zeros(len(values), dtype=dtype)
    return np.frombuffer(buffer, dtype=dtype)[values.offset : values.offset + len(values)]


def _unpacked(values: Any, buffer: int) -> Flags:
    bits = np.frombuffer(values.buffers()[buffer], dtype=np.uint8)
    unpacked = np.unpackbits(bits, count=values.offset + len(values), bitorder="little")
    return unpacked[values.offset :].astype(bool)


def _bits(values: Flags) -> Any:
    return pa.py_buffer(np.packbits(values, bitorder="little"))
