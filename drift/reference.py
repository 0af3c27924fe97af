"""The reference of a training run: how each input, the label and each score of the ranker was distributed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from drift.histogram import Histogram
from drift.noise import Draws
from drift.series import LABELS, label_values
from features import DENSE_COLUMNS
from settings import ReelstreamError

WINDOW = 1000
"""Events of the windows of which the noise is drawn."""


class ReferenceError(ReelstreamError):
    """A reference that cannot be compared with."""


@dataclass(frozen=True)
class Reference:
    """Histograms of a run.

    Attributes:
        features: by name, as in `features.DENSE_COLUMNS`.
        labels: by name, as in `drift.series.LABELS`; values are 0 and 1.
        scores: by the ranker's output, next, like and score, for the items of validation events.
        quality: figures on the same events: auc, logloss, ece, label_rate, hit10, hit50.
    """

    features: dict[str, Histogram]
    labels: dict[str, Histogram]
    scores: dict[str, Histogram]
    quality: dict[str, float]

    @property
    def series(self) -> dict[str, Histogram]:
        """All histograms, in the order of `drift.series.SERIES`."""
        return {**self.features, **self.labels, **self.scores}

    @classmethod
    def of(
        cls,
        userid: npt.NDArray[np.integer],
        rows: npt.NDArray[np.floating],
        liked: npt.NDArray[np.bool_],
        scores: Mapping[str, npt.NDArray[np.floating]],
        quality: Mapping[str, float],
        seed: int,
    ) -> Reference:
        """The reference of training events.

        Args:
            userid: [N], by user and in time order.
            rows: the ranker's dense input before each event, [N, 32].
            liked: [N].
            scores: the ranker's outputs for other events, taken as independent; by name, [M] each.
            quality: of these outputs.
            seed: of the windows that are drawn for the bands.
        """
        draws = Draws(userid, WINDOW, seed)
        features = {name: _noted(rows[:, place], None, draws) for place, name in enumerate(DENSE_COLUMNS)}
        values, counts = label_values(rows, liked)
        labels = {name: _noted(values[:, place], counts[:, place], draws) for place, name in enumerate(LABELS)}
        noted = {name: _noted(of, None, Draws(np.arange(len(of)), WINDOW, seed)) for name, of in scores.items()}
        return cls(features, labels, noted, dict(quality))

    def as_json(self) -> dict[str, object]:
        """As it stands in reference.json."""
        parts = {"features": self.features, "labels": self.labels, "scores": self.scores}
        told: dict[str, object] = {
            part: {name: histogram.as_json() for name, histogram in of.items()} for part, of in parts.items()
        }
        return told | {"quality": self.quality}

    @classmethod
    def from_json(cls, given: Mapping[str, Mapping[str, object]]) -> Reference:
        """Read what `as_json` made.

        Raises:
            ReferenceError: it is none, or one that was made before references had bands.
        """
        try:
            features, labels, scores = (
                {name: Histogram(**histogram) for name, histogram in given[part].items()}  # type: ignore[arg-type]
                for part in ("features", "labels", "scores")
            )
            quality = {name: float(value) for name, value in given["quality"].items()}  # type: ignore[arg-type]
        except (KeyError, TypeError, AttributeError):
            raise ReferenceError("reference.json has no bands to watch drift by; train again") from None
        return cls(features, labels, scores, quality)


def _noted(values: npt.NDArray[np.floating], counts: npt.NDArray[np.bool_] | None, draws: Draws) -> Histogram:
    histogram = Histogram.of(values if counts is None else values[counts])
    place = histogram.place(values)
    if counts is not None:
        place[~counts] = -1
    return replace(histogram, noise=draws.noise(histogram, place))
