"""Exploration: which positions of a list go to which items with few events, as a seed alone decides.

A list that is asked for again is the same. `scoring.explored` makes the lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from features.schema import Ints


@dataclass(frozen=True, slots=True)
class Exploration:
    """The exploration in the list of a user.

    Attributes:
        share: of the positions, above 0 and below 1.
        seed: of all choices, 64 bits.
    """

    share: float
    seed: int

    @classmethod
    def of(cls, share: float, *names: object) -> Exploration:
        """The exploration whose seed follows from some names, such as those of a user and an offset.

        >>> Exploration.of(0.1, "u1", 17) == Exploration.of(0.1, "u1", 17) != Exploration.of(0.1, "u1", 18)
        True
        """
        digest = blake2b(repr(names).encode("utf-8", "backslashreplace"), digest_size=8).digest()
        return cls(share, int.from_bytes(digest, "big"))

    def number(self, size: int) -> int:
        """Positions of a list of `size` that are explored, never all; a fraction of one is given by lot.

        >>> Exploration(0.1, 7).number(50), Exploration(0.1, 7).number(1)
        (5, 0)
        """
        wanted = self.share * size
        whole = int(wanted)
        return min(whole + int(self._lot(0).random() < wanted - whole), max(size - 1, 0))

    def items(self, column: Ints, number: int) -> Ints:
        """So many of the items at some columns, or all if there are fewer, in the order in which they are drawn."""
        drawn: Ints = self._lot(1).permutation(column)[:number]
        return drawn

    def positions(self, size: int, number: int) -> Ints:
        """So many positions of a list of `size`, ascending, but never the first."""
        drawn: Ints = np.sort(1 + self._lot(2).choice(size - 1, number, replace=False))
        return drawn

    def _lot(self, purpose: int) -> np.random.Generator:
        """A generator for each purpose, so that one choice does not depend on how many others were made."""
        return np.random.default_rng([self.seed, purpose])
