"""The test of whether an acknowledged cause has changed, so that an operator should look again."""

from __future__ import annotations

from collections.abc import Iterable

from drift.records import Acknowledgement, Alarm, DriftNow

LEVELS = (1.0, 2.0, 4.0)
"""PSI as a multiple of its threshold: over 1 shifted, over 2 shifted far, over 4 another distribution."""


def acknowledge(
    cause: str, note: str, wall_ts: float, alarms: Iterable[Alarm], now: DriftNow | None
) -> Acknowledgement:
    """The acknowledgement of a cause as it is now; `alarms` are the open ones."""
    alarms = list(alarms)
    keys = [alarm.key for alarm in alarms if alarm.cause == cause]
    return Acknowledgement(cause=cause, note=note, wall_ts=wall_ts, alarms=keys, level=level(cause, alarms, now))


def changed(known: Acknowledgement, alarms: Iterable[Alarm], now: DriftNow | None) -> bool:
    """Return True if the cause is not the acknowledged one any more: a series has joined, it is worse, or it is over.

    A series that is back at normal is no reason to look again.
    """
    alarms = list(alarms)
    keys = {alarm.key for alarm in alarms if alarm.cause == known.cause}
    return not keys or not keys <= set(known.alarms) or level(known.cause, alarms, now) > known.level


def level(cause: str, alarms: Iterable[Alarm], now: DriftNow | None) -> int:
    """Shift of the worst series of a cause, as a number of LEVELS."""
    series = {alarm.series for alarm in alarms if alarm.cause == cause and alarm.detector == "psi"}
    ratios = [entry.ratio for entry in now.series if entry.name in series] if now else []
    return sum(max(ratios, default=0.0) > bound for bound in LEVELS)
