"""Kafka's default partition of a key, for the oracle."""

from __future__ import annotations


def partition(key: bytes, partitions: int) -> int:
    """Kafka's default partition of a key: the 32-bit MurmurHash2 of Java's client, without its sign.

    >>> partition(b"1", 8), partition(b"6040", 8)
    (7, 7)
    """
    mask, factor = 0xFFFFFFFF, 0x5BD1E995
    state = (0x9747B28C ^ len(key)) & mask
    for start in range(0, len(key) - len(key) % 4, 4):
        part = int.from_bytes(key[start : start + 4], "little") * factor & mask
        part = (part ^ (part >> 24)) * factor & mask
        state = (state * factor & mask) ^ part
    tail = key[len(key) - len(key) % 4 :]
    if tail:
        state = (state ^ int.from_bytes(tail, "little")) * factor & mask
    state = (state ^ (state >> 13)) * factor & mask
    return ((state ^ (state >> 15)) & 0x7FFFFFFF) % partitions
