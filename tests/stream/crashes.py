"""Stores that can be made to fail just before or just after any effect of a fold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from features import Id, Row
from stores import Changes, Logged, Profiles, Transaction, Wanted
from stores.feast.feature_store import Features
from stores.kafka.producer import Refused

T = TypeVar("T")

EFFECTS = ("log_dead", "commit", "write_rows", "delete_rows", "set_served")


class Crash(Exception):
    """The worker dies here."""


class Crashing:
    """Place of the next crash.

    Attributes:
        at: an effect, and whether the worker dies after it; None for nowhere.
        times: how often the effect is begun before the worker dies of it.
        meanwhile: called once, between the reading and the next writing of a shard, as another worker might act then.
    """

    def __init__(self) -> None:
        self.at: tuple[str, bool] | None = None
        self.times = 1
        self.meanwhile: Callable[[], None] | None = None

    def let_others_act(self) -> None:
        """Call what is to happen meanwhile."""
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()

    def around(self, effect: str, function: Callable[[], T]) -> T:
        """Do it, and die where that is wanted."""
        here = self.at is not None and self.at[0] == effect
        self.times -= here
        if here and self.times == 0 and not self.at[1]:
            raise Crash
        result = function()
        if here and self.times == 0:
            raise Crash
        return result


class CrashingProfiles(Profiles):
    """The state in Redis, with crashes."""

    crashing: Crashing

    def begin_all(self, wanted: Mapping[int, Wanted]) -> Transaction:
        transaction = super().begin_all(wanted)
        commit = transaction.commit

        def crash(changes: Mapping[int, tuple[int, Changes]]) -> dict[int, str]:
            self.crashing.let_others_act()
            return self.crashing.around("commit", lambda: commit(changes))

        transaction.commit = crash
        return transaction

    def set_visible_offsets(self, offsets: Mapping[int, int]) -> None:
        self.crashing.let_others_act()
        self.crashing.around("set_served", lambda: super(CrashingProfiles, self).set_visible_offsets(offsets))


class CrashingFeatures:
    """The feature store, with crashes."""

    def __init__(self, features: Features, crashing: Crashing) -> None:
        self._features = features
        self._crashing = crashing

    def write_users(self, rows: Iterable[tuple[Id, Row]]) -> None:
        self._crashing.around("write_rows", lambda: self._features.write_users(rows))

    def delete_users(self, userids: Sequence[Id]) -> None:
        if userids:
            self._crashing.around("delete_rows", lambda: self._features.delete_users(userids))


class DeadTopic:
    """Stands for the topic of dead letters: the positions that it was told, each time."""

    def __init__(self, crashing: Crashing) -> None:
        self._crashing = crashing
        self.told: list[tuple[int, int, str]] = []

    def __call__(self, dead: Sequence[tuple[Logged, str]]) -> list[tuple[Logged, str, Refused]]:
        self._crashing.around(
            "log_dead",
            lambda: self.told.extend((record.partition, record.offset, reason) for record, reason in dead),
        )
        return []
