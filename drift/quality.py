"""Quality before learning (prequential): how good the ranker was on events that it had not yet learned from.

Gama, Sebastiao and Rodrigues, On evaluating stream learning algorithms, 2013.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np

from drift.alarms import Moment
from drift.classification_metrics import Doubles, auc, ece, logloss
from drift.events import NO_LIST
from drift.records import QualityWindow, Segment

KEPT = 1000
"""Latest scored events that the figures are about."""

KEPT_LISTS = 200
"""Latest lists that hit rates are about."""

LEAST = 50
"""Fewest events of which a figure is told."""

Entry = tuple[int, float, tuple[str, ...]]
"""liked (0 or 1), P(like), segments."""


class Quality:
    """The latest scored events.

    Attributes:
        entries: oldest first.
        ranks: of the items of liked events in their lists.
        seen, scored: events, and scored ones, since the last window.
        run: the run that scored last.
    """

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=KEPT)
        self.ranks: deque[int] = deque(maxlen=KEPT_LISTS)
        self.seen = self.scored = 0
        self.run = ""

    def add(self, run: str, liked: bool, like: float, rank: int, segments: tuple[str, ...]) -> None:
        """Take a scored event; one whose score is not a number counts as not scored.

        The first event of another run starts over: figures are about one run, the one that they are shown with.
        """
        if self.run and run != self.run:
            self.entries.clear()
            self.ranks.clear()
            self.seen, self.scored = 1, 0
        if math.isfinite(like):
            self.entries.append((int(liked), like, segments))
            self.scored += 1
        if rank != NO_LIST:
            self.ranks.append(rank)
        self.run = run

    def window(self, at: Moment) -> QualityWindow | None:
        """The figures as they are; None where nothing was scored since the last window."""
        seen, scored, self.seen, self.scored = self.seen, self.scored, 0, 0
        if not scored:
            return None
        label = np.array([entry[0] for entry in self.entries], dtype=np.float64)
        like = np.array([entry[1] for entry in self.entries])
        enough = len(label) >= LEAST
        whole = _segment(label, like)
        hits = [sum(rank < first for rank in self.ranks) / max(len(self.ranks), 1) for first in (10, 50)]
        enough_lists = len(self.ranks) >= LEAST
        return QualityWindow(
            events=at.events,
            wall_ts=at.wall_ts,
            event_ts=at.event_ts,
            run=self.run,
            seen=seen,
            scored=len(label),
            listed=len(self.ranks),
            sampling=scored / max(seen, 1),
            auc=whole.auc,
            logloss=whole.logloss,
            ece=ece(label, like) if enough else None,
            label_rate=whole.label_rate,
            hit10=hits[0] if enough_lists else None,
            hit50=hits[1] if enough_lists else None,
            segments={name: _segment(label[places], like[places]) for name, places in self._segments().items()},
        )

    def _segments(self) -> dict[str, list[int]]:
        places: dict[str, list[int]] = {}
        for place, (_, _, segments) in enumerate(self.entries):
            for name in segments:
                places.setdefault(name, []).append(place)
        return dict(sorted(places.items()))

    def pack(self) -> Any:
        """Return the state as values that msgpack can pack."""
        return list(self.entries), list(self.ranks), self.seen, self.scored, self.run

    def restore(self, packed: Any) -> None:
        """Take up what `pack` gave."""
        entries, ranks, self.seen, self.scored, self.run = packed
        self.entries.extend((liked, like, tuple(segments)) for liked, like, segments in entries)
        self.ranks.extend(ranks)


def _segment(label: Doubles, like: Doubles) -> Segment:
    if len(label) < LEAST:
        return Segment(scored=len(label), auc=None, logloss=None, label_rate=None)
    area = auc(label, like)
    return Segment(
        scored=len(label),
        auc=area if math.isfinite(area) else None,
        logloss=logloss(label, like),
        label_rate=float(label.mean()),
    )
