"""Events in which nothing drifts, by block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from drift.reference import Scores

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """Events in which nothing drifts, by block.

    Attributes:
        block, rows, liked: as `Reference.of` takes them.
        scored: outputs of the served models for other events.
        scored_liked: whether these are liked, [M].
    """

    block: Ints
    rows: npt.NDArray[np.float32]
    liked: npt.NDArray[np.bool_]
    scored: Scores
    scored_liked: npt.NDArray[np.bool_]

    def halves(self, seed: int) -> tuple[Sample, Sample]:
        """Two samples without a block in common."""
        rng = np.random.default_rng(seed)
        first, second = (rng.random(int(block.max()) + 1) < 0.5 for block in (self.block, self.scored.block))
        return self._part(first[self.block], second[self.scored.block]), self._part(
            ~first[self.block], ~second[self.scored.block]
        )

    def _part(self, chosen: npt.NDArray[np.bool_], scored: npt.NDArray[np.bool_]) -> Sample:
        values = {name: values[scored] for name, values in self.scored.values.items()}
        return Sample(
            _renumbered(self.block[chosen]),
            self.rows[chosen],
            self.liked[chosen],
            Scores(values, _renumbered(self.scored.block[scored])),
            self.scored_liked[scored],
        )


def _renumbered(block: Ints) -> Ints:
    return np.unique(block, return_inverse=True)[1].astype(np.int64)
