"""A broken feature: what a fault in the pipeline makes of a value, to be told apart from users who change.

For tests of drift detection. A worker looks at the header only where `drift.spoil_features` is set.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

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
    def of(cls, headers: Iterable[tuple[str, bytes | None]], columns: Sequence[str]) -> Broken | None:
        """The change that an event's headers ask for; None if they ask for none that is known.

        Args:
            headers: of the event; one may have no value at all.
            columns: of the dense input.

        >>> Broken.of([("broken", b"item_log_n=scaled")], ["item_log_n"])
        Broken(feature='item_log_n', how=<How.SCALED: 'scaled'>)
        """
        for name, value in headers:
            if name == HEADER and value is not None:
                feature, _, how = value.decode("ascii", "replace").partition("=")
                if feature in columns and how in {each.value for each in How}:
                    return cls(feature, How(how))
        return None

    def header(self) -> tuple[str, bytes]:
        """The header that says it."""
        return HEADER, f"{self.feature}={self.how.value}".encode()

    def apply(self, row: npt.NDArray[np.float32], columns: Sequence[str]) -> None:
        """Break the value in a row with these columns, in place."""
        place = columns.index(self.feature)
        if self.how is How.CONSTANT:
            row[place] = 0.5
        elif self.how is How.MISSING:
            row[place] = np.nan
        else:
            row[place] *= 10.0
