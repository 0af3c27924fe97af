"""The reference of a training run: how each input, the label and each score of the ranker was distributed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from drift.histogram import MISSING, Histogram
from drift.series import Series
from drift.thresholds import Blocks, Ints, tails
from features.stored import FIRST_VERSION, VersionError, require_version
from features.version import difference
from settings import ReelstreamError

VERSION = 1
"""Version of the layout of reference.json; the first was written without a number."""

WINDOW = 1000
"""Events of the windows that thresholds are drawn for."""


class ReferenceError(ReelstreamError):
    """A reference that cannot be compared with."""


@dataclass(frozen=True)
class Reference:
    """Histograms of a run.

    Attributes:
        features: by name, as in `Series.features`.
        labels: by name, as in `Series.labels`; values are 0 and 1.
        scores: by the ranker's output, next, like and score, for the items of events that the models had not seen.
        quality: figures on the same events: auc, logloss, ece, label_rate, hit10, hit50.
    """

    features: dict[str, Histogram]
    labels: dict[str, Histogram]
    scores: dict[str, Histogram]
    quality: dict[str, float]

    @property
    def series(self) -> dict[str, Histogram]:
        """All histograms, in the order of `Series.names`."""
        return {**self.features, **self.labels, **self.scores}

    @classmethod
    def of(
        cls,
        series: Series,
        block: Ints,
        rows: npt.NDArray[np.floating],
        liked: npt.NDArray[np.bool_],
        scored: Scores,
        quality: Mapping[str, float],
        seed: int,
    ) -> Reference:
        """The reference of events as they are expected to arrive.

        Args:
            series: of the data set.
            block: of each event: successive events of one user that are alike; ascending from 0, INT64 [N].
            rows: the ranker's dense input before each event, [N, columns].
            liked: the labels, [N].
            scored: the ranker's outputs, for these or other events.
            quality: of these outputs.
            seed: of the windows that are drawn for the thresholds.
        """
        values, counts = series.label_values(rows, liked)
        features = {name: _Values.of(rows[:, place], block) for place, name in enumerate(series.features)}
        labels = {
            name: _Values.of(values[:, place], block, counts[:, place]) for place, name in enumerate(series.labels)
        }
        scores = {name: _Values.of(each, scored.block) for name, each in scored.values.items()}
        exact = _histograms(features | labels, seed)
        return cls(
            {name: exact[name] for name in features},
            {name: exact[name] for name in labels},
            _histograms(scores, seed),
            dict(quality),
        )

    def as_json(self) -> dict[str, object]:
        """As it stands in reference.json."""
        parts = {"features": self.features, "labels": self.labels, "scores": self.scores}
        fields: dict[str, object] = {
            part: {name: histogram.as_json() for name, histogram in histograms.items()}
            for part, histograms in parts.items()
        }
        return fields | {"quality": self.quality, "schema_version": VERSION}

    @classmethod
    def from_json(cls, series: Series, given: Mapping[str, Any]) -> Reference:
        """Read what `as_json` made, as the reference of some series.

        Raises:
            ReferenceError: it is none, one that was made before references had thresholds, one of other features, or
                one of another version.
        """
        try:
            require_version(given.get("schema_version", FIRST_VERSION), VERSION)
            features, labels, scores = (
                {name: Histogram(**histogram) for name, histogram in given[part].items()}
                for part in ("features", "labels", "scores")
            )
            quality = {name: float(value) for name, value in given["quality"].items()}
        except VersionError as error:
            raise ReferenceError(f"its reference is of another release: {error}; train and publish again") from None
        except (KeyError, TypeError, AttributeError):
            raise ReferenceError("reference.json has no thresholds to watch drift by; train again") from None
        if (other := difference([*features, *labels], [*series.features, *series.labels])) is not None:
            raise ReferenceError(
                f"it was made with other features than this release declares ({other}); train and publish again"
            )
        return cls(features, labels, scores, quality)


@dataclass(frozen=True)
class Scores:
    """Outputs of the ranker: by name as in `drift.series.SCORES`, [M] each; the block of each event, INT64 [M]."""

    values: Mapping[str, npt.NDArray[np.floating]]
    block: Ints


@dataclass(frozen=True)
class _Values:
    """A series: its histogram without thresholds, and its values by block."""

    histogram: Histogram
    blocks: Blocks

    @classmethod
    def of(cls, values: npt.NDArray[np.floating], block: Ints, counts: npt.NDArray[np.bool_] | None = None) -> _Values:
        histogram = Histogram.of(values if counts is None else values[counts])
        place = histogram.place(values)
        if counts is not None:
            place[~counts] = -1
        return cls(histogram, Blocks.of(block, place, histogram.bins))


def _histograms(named: Mapping[str, _Values], seed: int) -> dict[str, Histogram]:
    thresholds = tails({name: (values.histogram, values.blocks) for name, values in named.items()}, WINDOW, seed)
    return {
        name: replace(
            values.histogram,
            blocks=int((values.blocks.counts.sum(axis=1) > 0).sum()),
            missing_blocks=int((values.blocks.counts[:, MISSING] > 0).sum()),
            unit=thresholds[name].unit,
            tail=thresholds[name].quantiles,
        )
        for name, values in named.items()
    }
