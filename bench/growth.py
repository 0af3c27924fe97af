"""The law by which a figure grows with what it is measured over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def law(sizes: Sequence[float], figures: Sequence[float]) -> dict[str, float]:
    """The power law y = factor * x ** exponent that is nearest in logarithms to some figures, all above 0.

    An exponent of 0 is no growth, 1 growth in proportion.

    >>> law([10, 100, 1000], [4, 40, 400])
    {'exponent': 1.0, 'factor': 0.4}
    """
    exponent, constant = np.polyfit(np.log(sizes), np.log(figures), 1)
    return {"exponent": round(float(exponent), 3), "factor": float(f"{np.exp(constant):.3g}")}


def laws(points: Mapping[int, Mapping[str, float]], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """The law of each of some figures over the sizes at which they were measured; without those of fewer than two."""
    found = {}
    for name in names:
        measured = [(size, of[name]) for size, of in points.items() if of.get(name, 0.0) > 0]
        if len(measured) > 1:
            sizes, figures = zip(*measured, strict=True)
            found[name] = law(sizes, figures)
    return found


def size_at(figure: float, grows: Mapping[str, float]) -> float | None:
    """The size at which a figure is reached that grows by a law; None where it is not, as it does not grow.

    >>> round(size_at(4000, {"exponent": 1.0, "factor": 0.4}) or 0)
    10000
    """
    exponent = grows["exponent"]
    return (figure / grows["factor"]) ** (1 / exponent) if exponent > 0 else None
