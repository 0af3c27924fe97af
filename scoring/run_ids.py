"""The ids of a run: the users and items that it was trained with, and their numbers inside its models."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import numpy as np

from features.columns import ItemTable
from features.ids import Id, Numbering
from features.schema import Ints
from features.stored import Record


class StoredIds(Record):
    """The ids of a run as they are stored; None in the place of one that was erased."""

    users: list[int | str | None]
    items: list[int | str | None]


@dataclass(frozen=True)
class RunIds:
    """The ids of a run.

    Attributes:
        users, items: their numbers; an id that the run was not trained with is the unknown of its models.
    """

    users: Numbering
    items: Numbering
    _columns: list[tuple[ItemTable, Ints]] = field(default_factory=list, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, users: Iterable[Id], items: Iterable[Id]) -> RunIds:
        """The ids of a run that is trained with some users and items.

        >>> ids = RunIds.of(["u2", "u1"], ["i1"])
        >>> ids.users.number("u2"), ids.items.number("i1")
        (2, 1)
        """
        return cls(Numbering(sorted(users)), Numbering(sorted(items)))

    def columns(self, table: ItemTable) -> Ints:
        """The numbers of a catalogue's items by their columns, INT64 [items]; those of the last two are kept."""
        for known, numbers in self._columns:
            if known is table:
                return numbers
        numbers = np.asarray(self.items.numbers(table.itemids), dtype=np.int64)
        # Requests that began before the catalogue changed still ask for the former columns.
        self._columns[:] = [(table, numbers), *self._columns[:1]]
        return numbers

    def without_users(self, erased: Collection[Id]) -> RunIds:
        """The ids without some users, who become unknown; all others keep their numbers."""
        return RunIds(self.users.without(erased), self.items)

    def pack(self) -> str:
        """The ids as JSON."""
        return StoredIds(users=list(self.users.ids), items=list(self.items.ids)).model_dump_json()

    @classmethod
    def unpack(cls, stored: str | bytes) -> RunIds:
        """The ids that `pack` gave.

        Raises:
            VersionError, ValueError: as `features.stored.Record.read`.
        """
        ids = StoredIds.read(stored)
        return cls(Numbering(ids.users), Numbering(ids.items))
