"""A broken feature: what a fault in the pipeline makes of a value, to be told apart from users who change.

For tests of drift detection. A worker looks at the header only where `drift.spoil_features` is set.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from features.schema import DENSE_COLUMNS

HEADER = "broken"
"""Header of an event whose value is to be broken: `FEATURE=HOW`."""


class How(Enum):
    """The change to the value."""

    CONSTANT = "constant"
    MISSING = "missing"
    SCALED = "scaled"


@dataclass(frozen=True)
class Broken:
    """A feature and how it is broken."""

    feature: str
    how: How

    @classmethod
    def of(cls, headers: Iterable[tuple[str, bytes | None]]) -> Broken | None:
        """The change that an event's headers ask for; None if they ask for none that is known.

        A header may have no value at all.

        >>> Broken.of([("broken", b"item_log_n=scaled")])
        Broken(feature='item_log_n', how=<How.SCALED: 'scaled'>)
        """
        for name, value in headers:
            if name == HEADER and value is not None:
                feature, _, how = value.decode("ascii", "replace").partition("=")
                if feature in DENSE_COLUMNS and how in {each.value for each in How}:
                    return cls(feature, How(how))
        return None

    def header(self) -> tuple[str, bytes]:
        """The header that says it."""
        return HEADER, f"{self.feature}={self.how.value}".encode()

    def apply(self, row: npt.NDArray[np.float32]) -> None:
        """Break the value in a row [columns], named as in `features.DENSE_COLUMNS`, in place."""
        place = DENSE_COLUMNS.index(self.feature)
        if self.how is How.CONSTANT:
            row[place] = 0.5
        elif self.how is How.MISSING:
            row[place] = np.nan
        else:
            row[place] *= 10.0
