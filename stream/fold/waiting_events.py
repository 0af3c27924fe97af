"""The events of a shard that wait for items, and the fold of those whose item a change brings. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field

from features.ids import Id
from stores import Logged
from stores.redis.packed_changes import Waiting
from stores.redis.shard_transaction import waiting_events
from stream.fold.event_fold import EventFold
from stream.fold.shard_batch import Dead, Unreadable


@dataclass(slots=True)
class WaitingEvents:
    """Lets events wait for items that the shard does not know, and folds them once a change brings the item.

    Attributes:
        folding: folds events.
        shard: the partition.
        unreadable: what cannot be read of the state.
        most: how many events of the shard may wait.
        waiting: by item, all events that wait for it now, where that has changed.
        waited: number by which there are more events that wait.
        userids: the users of the events that were folded.
        dead: the events that were not, as they meet stored values that cannot be read.
    """

    folding: EventFold
    shard: int
    unreadable: Unreadable
    most: int
    waiting: dict[Id, list[Waiting]] = field(default_factory=dict)
    waited: int = 0
    userids: set[Id] = field(default_factory=set)
    dead: list[Dead] = field(default_factory=list)

    def add(self, record: Logged, itemid: Id) -> bool:
        """Let the event of a record wait; False where as many wait as may."""
        state = self.folding.state
        if state.waits + self.waited >= self.most:
            return False
        if itemid not in self.waiting:
            self.waiting[itemid] = list(state.waiting.get(itemid, ()))
        entry = Waiting(record.offset, record.created, record.key or b"", record.value or b"")
        self.waiting[itemid].append(entry)
        self.waited += 1
        return True

    def bring(self, itemid: Id) -> None:
        """Fold what waits for an item, in the order of the log, as of now."""
        entries = self.waiting.get(itemid) or self.folding.state.waiting.get(itemid)
        if not entries or self.waiting.get(itemid) == []:
            return
        self.waiting[itemid], self.waited = [], self.waited - len(entries)
        for entry, event in waiting_events(self.folding.schema, entries):
            if reason := self.unreadable.reason(event):
                record = Logged(self.shard, entry.offset, entry.key, entry.value, (), entry.created)
                self.dead.append((record, reason))
            else:
                self.folding.take(event)
                self.userids.add(event.userid)
