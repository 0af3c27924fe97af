"""The fold of the whole log into the shards of today, also where it had fewer partitions before.

Each former partition has a catalogue of its own up to the end of its epoch, as its shard had, and events of its own
that wait for their items. When the epoch ends, every shard of the next one begins with the highest version of each
item, and what waits goes to the shard of its user: what the merged catalogue knows by then is folded at once, in the
order of the former partitions and their offsets, and the rest goes on waiting. So the state does not depend on the
order in which the former partitions are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from features import Erasure, Event, Id, ItemChange, Layer, LogRecord
from features.waiting import erase_waiting, wait
from offline.data.history import State
from offline.state.snapshot import Shards
from stores import Logged, partition_of
from stores.kafka.epochs import Epochs

Waiting = dict[Id, list[tuple[int, Event]]]
"""Events that wait for their items: (offset, event) by item."""

Entry = tuple[tuple[int, int], Id, Event]
"""An event that waits as an epoch ends: (former partition, offset), the item and the event."""


@dataclass
class _Former:
    """A partition of an epoch that has ended, as its shard was."""

    layer: Layer
    waiting: Waiting = field(default_factory=dict)


class EpochFold:
    """Folds records of the log, one epoch after the other (`Epochs.stages`).

    Args:
        shards: the state that the log follows, folded in place.
        epochs: of the log.
        begins: by partition, the offset of the first record that is not in the state.
    """

    def __init__(self, shards: Shards, epochs: Epochs, begins: Mapping[int, int]) -> None:
        self._shards, self._epochs = shards, epochs
        ended = len(epochs.ended)
        newest = epochs.begins
        # A saved state is of the newest epoch: partitions are only added where the state began with the history.
        self._epoch = ended if all(begins.get(shard, 0) >= at for shard, at in newest.items()) else 0
        self._former: list[_Former] = []
        if self._epoch < ended:
            self._begin(Layer(shards.catalogue.items), [])

    def take(self, record: Logged, taken: LogRecord | None) -> bool:
        """Fold what a record says, None for one that is gone; whether it is an event that counts.

        Raises:
            EventError: if it is an event of an unknown item, and too many wait already.
        """
        epoch = self._epochs.number(record.partition, record.offset)
        while self._epoch < epoch:
            self._end()
        if self._former:
            return self._take_former(self._former[record.partition], record.offset, taken)
        # The change of an item is of the shard whose partition it is in, anything else of its user's.
        shard = record.partition if taken is None or isinstance(taken, ItemChange) else self._home(taken.userid)
        return self._shards.states[shard].take(taken, offset=record.offset)

    def finish(self) -> None:
        """End the epochs before the newest, of which all records are folded."""
        while self._epoch < len(self._epochs.ended):
            self._end()

    def _take_former(self, former: _Former, offset: int, taken: LogRecord | None) -> bool:
        if taken is None:
            return False
        if isinstance(taken, ItemChange):
            former.layer.apply(taken)
            if taken.itemid in former.layer:
                for _, event in former.waiting.pop(taken.itemid, ()):
                    self._state_of(event.userid, former.layer).step(event)
            return False
        state = self._state_of(taken.userid, former.layer)
        if isinstance(taken, Event) and taken.itemid not in former.layer:
            wait(former.waiting, taken.itemid, (offset, taken), state.waiting_events)
            return False
        if isinstance(taken, Erasure):
            erase_waiting(former.waiting, lambda entry: entry[1].userid == taken.userid)
        return state.take(taken, offset=offset)

    def _state_of(self, userid: Id, layer: Layer) -> State:
        """The state of a user's shard, which sees the catalogue of a former partition from here on."""
        state = self._shards.states[self._home(userid)]
        state.layer = layer
        return state

    def _home(self, userid: Id) -> int:
        return partition_of(userid, len(self._shards.states))

    def _begin(self, merged: Layer, entries: list[Entry]) -> None:
        """Begin an epoch that has ended since, with what its shards had then."""
        partitions = self._epochs.ended[self._epoch].partitions
        self._former = [_Former(merged.copy()) for _ in range(partitions)]
        for number, entry in self._settled(merged, entries, partitions):
            place, itemid, event = entry
            self._former[number].waiting.setdefault(itemid, []).append((place[1], event))

    def _end(self) -> None:
        """End an epoch: the next one begins with the merged catalogue, and what waits goes to its users' shards."""
        merged = Layer.merged([former.layer for former in self._former])
        entries = [
            ((number, offset), itemid, event)
            for number, former in enumerate(self._former)
            for itemid, waiting in former.waiting.items()
            for offset, event in waiting
        ]
        self._epoch += 1
        if self._epoch < len(self._epochs.ended):
            self._begin(merged, entries)
            return
        self._former = []
        states = self._shards.states
        settled = self._settled(merged, entries, len(states))
        for state in states:
            state.layer, state.waiting = merged.copy(), {}
        for number, ((_, offset), itemid, event) in settled:
            states[number].waiting.setdefault(itemid, []).append((offset, event))

    def _settled(self, merged: Layer, entries: list[Entry], partitions: int) -> list[tuple[int, Entry]]:
        """Fold what the merged catalogue knows; gives what waits on in each shard of the next epoch, in order.

        Its offsets are those before 0, as the offsets of former partitions mean nothing in the shard.
        """
        waiting: dict[int, list[Entry]] = {}
        for entry in sorted(entries, key=lambda entry: entry[0]):
            _, itemid, event = entry
            if itemid in merged:
                self._state_of(event.userid, merged).step(event)
            else:
                waiting.setdefault(partition_of(event.userid, partitions), []).append(entry)
        return [
            (number, ((number, place - len(of_shard)), itemid, event))
            for number, of_shard in waiting.items()
            for place, (_, itemid, event) in enumerate(of_shard)
        ]
