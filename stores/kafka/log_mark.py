"""A record of the log as it is remembered: its offset, and a fingerprint of its bytes."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b


@dataclass(frozen=True, slots=True)
class Mark:
    """A record: its offset, and its fingerprint, 16 hexadecimal digits."""

    offset: int
    fingerprint: str

    def __str__(self) -> str:
        return f"{self.offset}:{self.fingerprint}"

    @classmethod
    def parse(cls, text: str) -> Mark:
        """Read what `str` wrote.

        >>> Mark.parse(str(Mark(7, "00ff"))) == Mark(7, "00ff")
        True
        """
        offset, _, fingerprint = text.partition(":")
        return cls(int(offset), fingerprint)


def fingerprint(timestamp_s: float, key: bytes | None, value: bytes | None) -> str:
    """Return 16 hexadecimal digits that depend on a record's time, key and value.

    Args:
        timestamp_s: the record's timestamp in unix seconds, to the millisecond.

    >>> fingerprint(1.0, b"1", b"{}") == fingerprint(1.001, b"1", b"{}")
    False
    """
    digest = blake2b(str(round(timestamp_s * 1000)).encode(), digest_size=8)
    for part in (key, value):
        digest.update(b"\0" if part is None else b"\1" + len(part).to_bytes(8, "big"))
        digest.update(part or b"")
    return digest.hexdigest()
