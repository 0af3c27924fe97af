"""The rules by which a check opens and closes alarms."""

from __future__ import annotations

from collections.abc import Sequence

from drift.alarms import Alarms, Moment
from drift.checks import STRAY, Check, Checks
from drift.records import Detector, DriftUpdate


class AlarmRules:
    """Opens and closes alarms by the checks of all series.

    Args:
        names: of the series, in the order of a check.
        checks: gives the largest share of stray values.
        alarms: those that are open.
    """

    def __init__(self, names: Sequence[str], checks: Checks, alarms: Alarms) -> None:
        self._names, self._checks, self._alarms = names, checks, alarms

    def apply(self, check: Check, alpha: float, at: Moment, update: DriftUpdate) -> None:
        """Open and close the alarms of a check, the furthest over its threshold first: it gives the cause its name."""
        over: list[tuple[float, str, Detector, float, float]] = []
        names, enough = self._names, check.enough
        for number, name in enumerate(names):
            if not enough[number]:
                continue
            value, threshold = float(check.psi[number]), float(check.threshold[number])
            if value > threshold:
                over.append((value / threshold, name, "psi", value, threshold))
            over += self._strays(name, number, check, alpha)
        for _, name, detector, value, threshold in sorted(over, reverse=True):
            if (name, detector) not in self._alarms.open:
                update.opened.append(self._alarms.raised(name, detector, value, at, threshold=threshold))
        high = {(name, detector) for _, name, detector, _, _ in over}
        for key in list(self._alarms.open):
            number = names.index(key[0]) if key[0] in names else -1
            if number < 0 or key[1] in ("adwin", "kswin") or not enough[number]:
                continue
            back = key not in high and (key[1] != "psi" or check.psi[number] <= check.normal[number])
            alarm = self._alarms.seen(key, bool(back), at)
            if alarm is not None:
                update.closed.append(alarm)

    def _strays(
        self, name: str, number: int, check: Check, alpha: float
    ) -> list[tuple[float, str, Detector, float, float]]:
        """Values missing or out of range in more than their share."""
        strays: list[tuple[float, str, Detector, float, float]] = []
        shares: tuple[tuple[Detector, float], ...] = (
            ("missing", float(check.missing[number])),
            ("range", float(check.out_of_range[number])),
        )
        for detector, share in shares:
            if share > STRAY:
                most = self._checks.stray(name, detector == "missing", float(check.n[number]), alpha)
                if share > most:
                    strays.append((share / most, name, detector, share, most))
        return strays
