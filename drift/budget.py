"""The budget of false alarms: how improbable a measure must be, at each check, to raise an alarm.

An operator feels false alarms a week, whatever the rate of events. So each check may spend what has come in since the
one before, in proportion to time (alpha spending); over a week all checks together spend the week's budget, whether
they are 2,000 or 5 million. Within a check it is divided among all tests (Bonferroni), which holds however much series
depend on each other. See Foster and Stine, Alpha-investing: a procedure for sequential control of expected false
discoveries, 2008.
"""

from __future__ import annotations

from typing import Any

WEEK_S = 7 * 86_400.0

PSI_SHARE = 0.1
"""Share of the budget for the PSI of all series."""

STRAY_SHARE = 0.1
"""Share for values missing and out of range. The rest is for the detectors of change (see `drift.change`), and a
reserve: thresholds are estimates, and those that are too low raise the alarms."""


class Budget:
    """Seconds of the budget that may be spent.

    Args:
        per_week: false alarms a week of the whole system.
        most_s: the most that is saved up. As much is there at the beginning.
    """

    def __init__(self, per_week: float, most_s: float) -> None:
        self._per_week, self._most_s = per_week, most_s
        self._saved, self._until = most_s, 0.0

    def spend(self, wall_ts: float) -> float:
        """Probability of a false alarm that a check at a time, in unix seconds, may take.

        Half of what is there: several checks in the same moment each have something, and a check that comes as
        regularly as the one before spends what came in between.
        """
        if self._until:
            self._saved = min(self._most_s, self._saved + max(0.0, wall_ts - self._until))
        self._until = max(self._until, wall_ts)
        self._saved /= 2
        return self._per_week * self._saved / WEEK_S

    def pack(self) -> Any:
        """Return the state as values that msgpack can pack."""
        return self._saved, self._until

    def restore(self, packed: Any) -> None:
        """Take up what `pack` gave."""
        self._saved, self._until = packed
