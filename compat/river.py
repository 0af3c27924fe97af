"""river: detectors as pickles, the only form in which their state can be stored."""

from __future__ import annotations

import io
import pickle
from typing import Any

TESTED = {"river": "0.26.1"}

CLASSES = frozenset(
    {
        ("river.drift.adwin", "ADWIN"),
        ("river.drift.kswin", "KSWIN"),
        ("river._river_rust.drift", "AdaptiveWindowing"),
        ("collections", "deque"),
        ("random", "Random"),
        ("numpy", "dtype"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy.core.multiarray", "scalar"),
    }
)
"""Module and name of all that ADWIN and KSWIN consist of; numpy 2 has moved `scalar`."""


def unpickle(packed: bytes) -> Any:
    """Read pickled detectors, and nothing else.

    Raises:
        pickle.UnpicklingError: if there is anything else in it.
    """
    return _Unpickler(io.BytesIO(packed)).load()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in CLASSES:
            raise pickle.UnpicklingError(f"{module}.{name} is not part of a detector")
        return super().find_class(module, name)
