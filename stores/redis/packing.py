"""Profiles, seen filters, item counters, users and the catalogue as bytes in Redis.

Profiles, counters, seen filters and users carry no version of their own: that of the state (`Schema.state_version`)
covers them. Changed items, and events that wait, are packed in `packed_changes`.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, chain
from operator import attrgetter, sub
from typing import Any, cast

import msgpack

from features import RECENT, UNKNOWN, Codes, Id, IdKind, Item, ItemCounter, Profile, Recent, Schema, Seen, User
from features.profile import NUMBERS
from features.stored import FIRST_VERSION, require_version
from features.version import ROWS_OF_EVENTS
from stores.errors import Unreadable
from stores.packed_weights import pack_weights, unpack_weights

UNREADABLE = (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException)
"""Raised where bytes are not what was packed."""

SEEN = struct.Struct(">IB")
"""An event in a seen filter: its time and its code. An item has one for each type of event that there was."""

MOST_IN_BYTE = 127
"""Most values of an attribute whose codes are stored in a byte; those of others take two."""

_numbers = attrgetter(*NUMBERS)

CATALOGUE_VERSION, OTHERS_VERSION = 2, 1
"""Versions of the layouts of the catalogue and of the counters of other shards."""


def pack_profile(profile: Profile) -> bytes:
    """A profile as it is stored, its events in columns; `counted` only where there is anything in it."""
    counted = sorted((*event, revision) for event, revision in profile.counted.items())
    last = (counted,) if counted else ()
    weights = pack_weights(profile.weights)
    recent = _pack_recent(profile.recent)
    return cast(bytes, msgpack.packb((*_numbers(profile), *profile.tallies, *weights, recent, *last)))


def _pack_recent(recent: Sequence[Recent]) -> tuple[Any, ...]:
    """Events by ascending time as they are stored: the first time and the steps from each to the next, items, codes.

    Most steps take a byte or two, and a time takes five.
    """
    if not recent:
        return ()
    times, itemids, codes = zip(*recent, strict=True)
    return (times[0], *map(sub, times[1:], times)), itemids, bytes(codes)


def _unpack_recent(stored: Any) -> Sequence[Recent]:
    """Events from what is stored; raises ValueError or TypeError where it is none."""
    if not stored:
        return ()
    steps, itemids, codes = stored
    if type(codes) is not bytes:
        raise TypeError("the codes of events are no bytes")
    return list(zip(accumulate(steps), itemids, codes, strict=True))


def unpack_profile(schema: Schema, packed: bytes) -> Profile:
    """A profile from what is stored.

    Raises:
        Unreadable: if it is not a profile.
    """
    try:
        # Events as tuples, as a profile has them.
        values, n = msgpack.unpackb(packed, use_list=False), len(schema.profile_fields)
        if len(values) not in (n, n + 1):
            raise Unreadable("a stored profile has other fields")
        of_tallies, of_weights = len(NUMBERS), n - 1 - len(schema.weight_fields)
        profile = Profile(
            **dict(zip(NUMBERS, values[:of_tallies], strict=True)),
            tallies=list(map(list, values[of_tallies:of_weights])),
            weights=unpack_weights(schema, list(map(list, values[of_weights : n - 1]))),
            recent=list(_unpack_recent(values[n - 1])),
            counted=_counted(schema, values[n:]),
        )
        return _checked(schema, profile, "a stored profile")
    except UNREADABLE as error:
        raise Unreadable("a stored profile is not one") from error


def unpack_earlier_profile(schema: Schema, packed: bytes, names: Sequence[str], layout: int) -> Profile:
    """A profile of another version, to make lists of; a count that it lacks has its default, and a weight is 0.

    Args:
        schema: of the data set, as this release has it.
        packed: what is stored.
        names: the names of its fields.
        layout: its layout (`features.version.PROFILE_LAYOUTS`).

    Raises:
        Unreadable: if it is not such a profile, or lacks the events.
    """
    what = "a profile of another version"
    try:
        stored = msgpack.unpackb(packed)
        values = dict(zip(names, stored[: len(names)], strict=True))
        if "recent" not in values:
            raise Unreadable(f"{what} has no events")
        empty = schema.profile(values["userid"])
        tallies = zip(schema.tally_fields, empty.tallies, strict=True)
        weights = [values.get(name, []) for name in schema.weight_fields]
        numbers = {name: values[name] for name in NUMBERS if name in values}
        profile = Profile(
            **numbers,
            tallies=[values.get(name, nothing) for name, nothing in tallies],
            weights=unpack_weights(schema, weights),
            recent=values["recent"] if layout == ROWS_OF_EVENTS else list(_unpack_recent(values["recent"])),
            counted=_counted(schema, stored[len(names) :]),
        )
        return _checked(schema, profile, what)
    except (KeyError, *UNREADABLE) as error:
        raise Unreadable(f"{what} is not one") from error


def _counted(schema: Schema, last: Sequence[Any]) -> dict[Recent, int]:
    """The revisions that events were counted under, from what follows the other fields of a profile, or nothing does.

    Raises:
        ValueError, TypeError, OverflowError: if it is not that.
    """
    if not last:
        return {}
    (rows,) = last
    counted = {(ts, itemid, code): revision for ts, itemid, code, revision in rows}
    times, itemids, codes = zip(*counted, strict=True)
    require_counts(times, codes, _whole(schema.item_ids, itemids))
    if not {*codes}.issubset(range(1, schema.codes.size)) or len(counted) != len(rows):
        raise ValueError("an event has a code that no event has, or is there twice")
    if 0 in array("Q", counted.values()):
        raise ValueError("an event is said to be counted under the published attributes")
    return counted


def _checked(schema: Schema, profile: Profile, what: str) -> Profile:
    """A profile whose values were unpacked, once each is of its kind.

    Raises:
        Unreadable: if the profile is not one of this data set.
        ValueError, TypeError, OverflowError: if a value is not of its kind.
    """
    times, itemids, codes = zip(*profile.recent, strict=True) if profile.recent else ((), (), ())
    profile.recent = list(zip(times, itemids, codes, strict=True))
    userid, *numbers = _numbers(profile)
    # Ids were valid when they were packed. Whole numbers are checked together with all others.
    of_items = _whole(schema.item_ids, itemids)
    require_counts(numbers, *profile.tallies, times, codes, _whole(schema.user_ids, (userid,)), of_items)
    if tuple(map(len, profile.tallies)) != schema.tally_lengths:
        raise Unreadable(f"{what} has tallies of other lengths")
    if len(profile.recent) > RECENT or not {*codes}.issubset(range(1, schema.codes.size)):
        raise Unreadable(f"{what} has too many events, or codes that no event has")
    return profile


def _whole(kind: IdKind, ids: Sequence[Any]) -> Sequence[Any]:
    """The ids where they are whole numbers; else nothing, but a TypeError unless all of them are texts."""
    if kind is IdKind.INTEGER:
        return ids
    if not all(type(known) is str for known in ids):
        raise TypeError("an id is not a text")
    return ()


def pack_seen(seen: Seen) -> bytes:
    """An entry of a seen filter as it is stored."""
    return b"".join(SEEN.pack(*rated) for rated in seen)


def unpack_seen(codes: Codes, packed: bytes) -> Seen:
    """An entry of a seen filter from what is stored.

    Raises:
        Unreadable: if it is none.
    """
    try:
        if len(packed) == SEEN.size:
            ts, code = SEEN.unpack(packed)
            if 0 < code < codes.size:
                return ((ts, code),)
        seen: Seen = tuple(SEEN.iter_unpack(packed))
    except (struct.error, TypeError) as error:
        raise Unreadable("a stored entry of a seen filter is none") from error
    if not seen or not all(0 < code < codes.size for _, code in seen):
        raise Unreadable(f"a stored event has no code from 1 to {codes.size - 1}")
    if len(seen) > 1:
        types = [codes.type_number[code] for _, code in seen]
        if types != sorted({*types}):
            raise Unreadable("a stored entry of a seen filter has two events of one type, or types in another order")
    return seen


def pack_counter(counter: ItemCounter) -> bytes:
    """An item's counters as they are stored."""
    weeks = sorted((week, n, likes) for week, (n, likes) in counter.weeks.items())
    return cast(bytes, msgpack.packb([counter.n, counter.likes, counter.last_ts, weeks]))


def unpack_counter(packed: bytes) -> ItemCounter:
    """An item's counters from what is stored.

    Raises:
        Unreadable: if it is not the counters of an item.
    """
    try:
        n, likes, last_ts, weeks = msgpack.unpackb(packed)
        counter = ItemCounter(n, likes, last_ts, {week: [events, liked] for week, events, liked in weeks})
        require_counts([n, likes, last_ts, *counter.weeks])
        # In a week, more events may have been replaced than were new.
        array("q", chain.from_iterable(counter.weeks.values()))
    except UNREADABLE as error:
        raise Unreadable("stored counters are none") from error
    return counter


def unpack_first_counter(packed: bytes) -> ItemCounter:
    """An item's counters as they were stored while they counted their changes too, which came first.

    Raises:
        Unreadable: if it is not the counters of an item.
    """
    try:
        return unpack_counter(cast(bytes, msgpack.packb(msgpack.unpackb(packed)[1:])))
    except UNREADABLE as error:
        raise Unreadable("stored counters are none") from error


def user_struct(schema: Schema) -> struct.Struct:
    """The layout of a user's attributes: a code each, in one byte or two."""
    return _struct(schema.user_sizes)


@lru_cache(maxsize=16)
def _struct(sizes: tuple[int, ...]) -> struct.Struct:
    return struct.Struct(">" + "".join("b" if size <= MOST_IN_BYTE else "h" for size in sizes))


def pack_user(schema: Schema, user: User) -> bytes:
    """A user's attributes as they are stored."""
    return user_struct(schema).pack(*user.codes)


def unpack_user(schema: Schema, userid: Id, packed: bytes | None) -> User:
    """A user's attributes from what is stored.

    Raises:
        Unreadable: if it is not a user's attributes.
    """
    if not packed:
        return schema.user(userid)
    sizes = schema.user_sizes
    try:
        codes = _struct(sizes).unpack(packed)
    except struct.error as error:
        raise Unreadable("stored attributes of a user are none") from error
    for code, size in zip(codes, sizes, strict=True):
        if not UNKNOWN <= code < size:
            raise Unreadable("stored attributes of a user have a code that no value has")
    return User(userid, codes)


def pack_catalogue(items: Iterable[Item]) -> bytes:
    """The items as they are stored."""
    return _pack_rows(CATALOGUE_VERSION, [(item.itemid, item.title, item.values) for item in items])


def unpack_catalogue(schema: Schema, packed: bytes) -> dict[Id, Item]:
    """The items by id, from what is stored.

    Raises:
        VersionError: if it has another version.
    """
    version, rows = _unpack_rows(packed)
    if version == FIRST_VERSION:
        rows = [_first_row(schema, *row) for row in rows]
    else:
        require_version(version, CATALOGUE_VERSION)
    return {itemid: schema.item(itemid, title, tuple(map(unpacked_value, values))) for itemid, title, values in rows}


def unpacked_value(stored: Any) -> Any:
    """A value of an attribute; several values were packed as a list."""
    return tuple(stored) if isinstance(stored, list) else stored


def _first_row(schema: Schema, itemid: Id, title: str, year: int, genres: list[int]) -> tuple[Id, str, list[Any]]:
    """A row of the first version, which was of MovieLens alone, as it is stored today."""
    values = {"year": year, "genres": genres, "decade": year}
    return itemid, title, [values[attribute.name] for attribute in schema.item_attributes]


def pack_others(counters: Mapping[Id, tuple[int, int]]) -> bytes:
    """(events, positive ones) of each item in other shards, as they are stored."""
    return _pack_rows(OTHERS_VERSION, [(itemid, n, likes) for itemid, (n, likes) in counters.items()])


def unpack_others(packed: bytes) -> dict[Id, tuple[int, int]]:
    """(events, positive ones) of each item in other shards, from what is stored.

    Raises:
        VersionError: if it has another version.
    """
    version, rows = _unpack_rows(packed)
    require_version(version, OTHERS_VERSION)
    return {itemid: (n, likes) for itemid, n, likes in rows}


def _pack_rows(version: int, rows: list[Any]) -> bytes:
    return cast(bytes, msgpack.packb({"schema_version": version, "rows": rows}))


def _unpack_rows(packed: bytes) -> tuple[object, list[Any]]:
    """The version and the rows of a table. The first version was packed by itself."""
    stored = msgpack.unpackb(packed)
    if isinstance(stored, list):
        return FIRST_VERSION, stored
    return stored["schema_version"], stored["rows"]


def require_counts(*numbers: Iterable[int]) -> None:
    """Raise TypeError or OverflowError unless all are whole numbers from 0 to 2**32 - 1, as every count and time is."""
    for some in numbers:
        array("I", some)
