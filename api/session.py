"""The state of a session: events that a request brings along, of a user who is not stored, or on top of one who is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from api.data_set import DataSetApi
from api.messages import Watched
from features import Event, Id, IdKind, Item, Profile, Schema, Seen, fold
from features.seen import hidden, known, later, with_rated
from scoring import UserState


def nobody(schema: Schema) -> Id:
    """An id that no user can have."""
    return 0 if schema.user_ids is IdKind.INTEGER else ""


def session_events(
    data_set: DataSetApi, history: Sequence[Watched], field: str = "history", since: int = 0
) -> list[Event]:
    """The events of a session; one without a time happens a second after the one before.

    Args:
        data_set: the data set.
        history: the entries of the request.
        field: its name for them.
        since: the time of an event before the first, in unix seconds.

    Raises:
        RequestError: if the type and the value of one do not go together.
    """
    userid, ts = nobody(data_set.schema), since
    events = []
    for place, entry in enumerate(history):
        ts = entry.ts if entry.ts is not None else ts + 1
        events.append(data_set.requests.watched(userid, entry, ts, (field, place)))
    return events


def session_state(schema: Schema, events: Sequence[Event], items: Mapping[Id, Item]) -> UserState:
    """The state of a user with these events, of whom nothing else is known.

    Args:
        schema: of the data set.
        events: the events.
        items: the catalogue, with the items of all of them.
    """
    profile, seen = session_profile(schema, events, items)
    exclude = [itemid for itemid, rated in seen.items() if hidden(schema.codes, rated)]
    return UserState.of(schema, profile, schema.user(profile.userid), items, exclude)


def session_profile(
    schema: Schema,
    events: Sequence[Event],
    items: Mapping[Id, Item],
    stored: Profile | None = None,
    stored_seen: Mapping[Id, Seen] | None = None,
) -> tuple[Profile, dict[Id, Seen]]:
    """The profile and the seen filter that events make, of nobody or on top of those that are stored, which stay."""
    codes, profile = schema.codes, stored.copy() if stored is not None else schema.profile(nobody(schema))
    seen = dict[Id, Seen](stored_seen or {})
    for event in events:
        of_item = seen.get(event.itemid)
        rated = known(of_item, event.code, codes)
        if fold(codes, profile, rated, event, items):
            seen[event.itemid] = with_rated(codes, of_item, later(event, rated))
    return profile, seen
