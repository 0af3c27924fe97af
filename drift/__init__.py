"""How far the live features have drifted from those that the models were trained on. Pure: no I/O of its own."""

from drift.histogram import Histogram
from drift.reference import Reference, ReferenceError

__all__ = ["Histogram", "Reference", "ReferenceError"]
