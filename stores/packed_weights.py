"""The weights of a user's terms as msgpack holds them, in profiles and in samples of the feature log.

For each term attribute a list [code, weight, code, weight, ...], by ascending code. A weight that no integer of msgpack
holds is stored as its bytes, big-endian and signed, as few as hold it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from features import Schema
from features.weights import Weights

LEAST, MOST = -(1 << 63), (1 << 64) - 1
"""The least and the greatest integer of msgpack."""

ONLY_INTEGERS = frozenset({int})
"""The type of codes, and of most weights; `bool` is another one."""

Packed = list[int | bytes]


def pack_weights(weights: Weights) -> list[Packed]:
    """Weights as they are stored, a list for each attribute."""
    return [_packed(of_attribute) for of_attribute in weights]


def _packed(weights: dict[int, int]) -> Packed:
    packed: Packed = []
    for code, weight in sorted(weights.items()):
        packed += (code, weight if LEAST <= weight <= MOST else _bytes(weight))
    return packed


def _bytes(weight: int) -> bytes:
    # One bit more than the magnitude for the sign; -2**n takes no more than n of them.
    bits = (weight if weight >= 0 else ~weight).bit_length() + 1
    return weight.to_bytes((bits + 7) // 8, "big", signed=True)


def unpack_weights(schema: Schema, stored: Sequence[Any]) -> Weights:
    """Weights from what is stored.

    Args:
        schema: of the data set.
        stored: a list for each term.

    Raises:
        ValueError, TypeError: if they are none.
    """
    return [_unpacked(packed, len(term.values)) for packed, term in zip(stored, schema.terms, strict=True)]


def _unpacked(packed: Any, values: int) -> dict[int, int]:
    if not isinstance(packed, list):
        raise TypeError("the weights of a term are no list")
    codes, weights = packed[::2], packed[1::2]
    if not ONLY_INTEGERS.issuperset(map(type, codes)) or codes != sorted({*codes}):
        raise ValueError("the values of weights are no codes in ascending order")
    if codes and not 0 <= codes[0] <= codes[-1] < values:
        raise ValueError("a weight is of a value that there is not")
    if not ONLY_INTEGERS.issuperset(map(type, weights)) or 0 in weights:
        weights = [_weight(stored) for stored in weights]
    return dict(zip(codes, weights, strict=True))


def _weight(stored: Any) -> int:
    if type(stored) is int and stored:
        return stored
    if type(stored) is bytes:
        weight = int.from_bytes(stored, "big", signed=True)
        if not LEAST <= weight <= MOST and _bytes(weight) == stored:
            return weight
    raise ValueError("a weight is none, or 0, or of more bytes than it takes")
