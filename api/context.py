"""`context` of a request: further events of a stored user, for one answer alone. Nothing of them is stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from api.data_set import DataSetApi
from api.messages import Watched
from api.session import session_events, session_profile
from features import Id, Item, Profile, Seen
from features.seen import hidden
from stores import Profiles


def with_context(
    data_set: DataSetApi,
    items: Mapping[Id, Item],
    profile: Profile,
    hides: Mapping[Id, bool],
    context: Sequence[Watched],
    read_seen: Callable[[], Mapping[Id, Seen]],
) -> tuple[Profile, dict[Id, bool]]:
    """A stored profile with further events on top, and what is hidden then.

    An entry without a time happens a second after the one before, and the first one after all that is stored.

    Args:
        data_set: the data set.
        items: the catalogue, with the items of all entries.
        profile: as it is stored, or an empty one; it is not changed.
        hides: the items of the seen filter, and whether lists leave them out.
        context: the entries of the request.
        read_seen: gives the whole seen filter; asked only where an entry is of an item in it.

    Raises:
        RequestError: if the type and the value of one do not go together.
    """
    codes = data_set.schema.codes
    events = session_events(data_set, context, "context", profile.last_ts)
    known = {event.itemid for event in events if event.itemid in hides}
    seen = {itemid: rated for itemid, rated in read_seen().items() if itemid in known} if known else {}
    after, met = session_profile(data_set.schema, events, items, profile, seen)
    return after, {**hides, **{itemid: hides.get(itemid) or hidden(codes, rated) for itemid, rated in met.items()}}


def stored_seen(profiles: Profiles, userid: Id) -> Mapping[Id, Seen]:
    """The seen filter of a user.

    Raises:
        Unreachable: if Redis does not answer.
    """
    found = profiles.read_users([userid]).get(userid)
    return found[1] if found else {}
