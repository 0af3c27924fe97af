"""The fold of events and changes of users into the state of their shard, one by one. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field

from features.catalogue import User
from features.changes import UserChange
from features.counters import ItemCounter, count
from features.event import Event
from features.ids import Id, ascending
from features.layer import Items
from features.profile import Profile, fold
from features.schema import Schema
from features.seen import Seen, known, later, supersedes, with_rated
from stores import Logged, ShardState
from stream.fold.inputs import Moments


@dataclass(slots=True)
class EventFold:
    """Folds events and changes of users one by one into the state of their shard, in place.

    Attributes:
        schema: of the data set.
        state: what the shard holds of the events' users and items. It is taken over: its profiles and counters are
            folded in place, because copies would cost a tenth of the fold, and are those of the result.
        items: the catalogue, which may change between two events.
        moments: takes the moment before each event that counts; None where drift is not watched.
        profiles, rated, counters, users: what has changed.
    """

    schema: Schema
    state: ShardState
    items: Items
    moments: Moments | None = None
    profiles: dict[Id, Profile] = field(default_factory=dict)
    rated: dict[tuple[Id, Id], Seen] = field(default_factory=dict)
    counters: dict[Id, ItemCounter] = field(default_factory=dict)
    users: dict[Id, User] = field(default_factory=dict)

    def take(self, event: Event, record: Logged | None = None) -> None:
        """Fold an event of an item that the catalogue has; the record, where moments are taken."""
        state, codes = self.state, self.schema.codes
        pair = event.userid, event.itemid
        seen = self.rated.get(pair) or state.rated.get(pair)
        before = known(seen, event.code, codes)
        profile = state.profiles[event.userid]
        version = profile.version
        if supersedes(codes, event, before):
            counter, after = state.counters[event.itemid], later(event, before)
            if self.moments is not None and record is not None:
                self.moments.take(record, event, profile, self.user(event.userid), counter)
            # A late event of those that accumulate counts for the user, but is not the latest of the item.
            if after != before:
                count(codes, counter, before, after)
                self.counters[event.itemid], self.rated[pair] = counter, with_rated(codes, seen, after)
        fold(codes, profile, before, event, self.items)
        if profile.version != version:
            self.profiles[event.userid] = profile

    def change_user(self, change: UserChange) -> None:
        """Fold a change of a user.

        A user who has a profile has another version of it afterwards, so that the row counts as a later one.
        """
        self.users[change.userid] = change.user
        profile = self.state.profiles[change.userid]
        if profile.version:
            profile.version += 1
            self.profiles[change.userid] = profile

    def user(self, userid: Id) -> User:
        """The attributes of a user as they are now."""
        return self.users.get(userid) or self.state.users[userid]

    def users_now(self, userids: set[Id]) -> list[tuple[Profile, User]]:
        """Users as they are now, by ascending id."""
        return [(self.state.profiles[userid], self.user(userid)) for userid in ascending(userids)]
