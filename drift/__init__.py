"""How far the live features have drifted from those that the models were trained on."""

from drift.reference import Histogram, Reference

__all__ = ["Histogram", "Reference"]
