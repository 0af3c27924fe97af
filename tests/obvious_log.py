"""A log of events and changes in the obvious way: all events that count, each with its item as it was then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from features import Erasure, Event, Id, Item, ItemChange, LogRecord, Schema
from tests.weights import obvious_weights


@dataclass
class Counted:
    """An event that counts, and its item as it was then."""

    event: Event
    item: Item


class ObviousLog:
    """The events of a log that count; all else is summed up at the end.

    Args:
        schema: of the data set.
        items: the catalogue as it was published.
        log: the records of a partition, in their order.

    Attributes:
        counted: the events that count.
        first_ts: by user, the time of the first event, whether it still counts or not.
        waiting: the events that wait for an item.
        items: the catalogue after all changes.
    """

    def __init__(self, schema: Schema, items: Mapping[Id, Item], log: Iterable[LogRecord]) -> None:
        self.schema = schema
        self.counted: list[Counted] = []
        self.first_ts: dict[Id, int] = {}
        self.seen: dict[tuple[Id, Id, str], tuple[int, int]] = {}
        self.waiting: list[Event] = []
        self.items: dict[Id, Item] = dict(items)
        self.met: list[ItemChange] = []
        for record in log:
            if isinstance(record, Event):
                self.meet(record)
            elif isinstance(record, Erasure):
                self.erase(record.userid)
            elif isinstance(record, ItemChange):
                self.change(record)

    def meet(self, event: Event) -> None:
        if event.itemid not in self.items:
            self.waiting.append(event)
            return
        self.first_ts[event.userid] = min(event.ts, self.first_ts.get(event.userid, event.ts))
        codes = self.schema.codes
        pair = event.userid, event.itemid, codes.type(event.code)
        before = self.seen.get(pair)
        if before == (event.ts, event.code):
            return
        if codes.replaces[event.code]:
            if before is not None and event.ts < before[0]:
                return
            self.counted = [
                other
                for other in self.counted
                if (other.event.userid, other.event.itemid, codes.type(other.event.code)) != pair
            ]
        self.counted.append(Counted(event, self.items[event.itemid]))
        if before is None or event.ts >= before[0]:
            self.seen[pair] = event.ts, event.code

    def erase(self, userid: Id) -> None:
        self.counted = [counted for counted in self.counted if counted.event.userid != userid]
        self.first_ts.pop(userid, None)
        self.seen = {pair: rated for pair, rated in self.seen.items() if pair[0] != userid}
        self.waiting = [event for event in self.waiting if event.userid != userid]

    def change(self, change: ItemChange) -> None:
        self.met.append(change)
        with_attributes = [met for met in self.met if met.itemid == change.itemid and met.item is not None]
        if not with_attributes:
            return
        self.items[change.itemid] = max(with_attributes, key=lambda met: (met.version, met.text)).item
        ready = [event for event in self.waiting if event.itemid == change.itemid]
        self.waiting = [event for event in self.waiting if event.itemid != change.itemid]
        for event in ready:
            self.meet(event)

    def of_user(self, userid: Id) -> list[Counted]:
        """The events of a user that count."""
        return [counted for counted in self.counted if counted.event.userid == userid]

    def tallies(self, userid: Id) -> list[list[int]]:
        tallies = [[0] * length for length in self.schema.tally_lengths]
        for counted in self.of_user(userid):
            for place, values in enumerate(counted.item.terms):
                for value in values:
                    tallies[2 * place][value] += 1
                    tallies[2 * place + 1][value] += self.schema.codes.positive[counted.event.code]
        return tallies

    def weights(self, userid: Id) -> list[dict[int, int]]:
        """The weights of a user's terms."""
        of_user = [(counted.event, counted.item) for counted in self.of_user(userid)]
        return obvious_weights(self.schema, of_user, self.first_ts.get(userid, 0))
