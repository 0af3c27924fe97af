"""`GET /users/{userid}`, `GET /users/{userid}/export`: what is known of a user, and all that is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from api.answers import (
    AsOf,
    RecentRating,
    StoredRating,
    StoredRecord,
    Tally,
    Terms,
    UserAttributes,
    UserExport,
    UserState,
)
from api.live import Live
from api.messages import RequestError
from api.services import Services
from features import DECADES, GENRES, User
from features.catalogue import decade_name
from features.event import MAX_ID
from features.profile import Profile
from scoring import preferences
from stores import Logged
from stores.archive.user_records import records_of
from stores.feast.feature_store import Features


def user_of(text: str) -> int:
    """The userid in a path.

    Raises:
        RequestError: if it is none.
    """
    userid = int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else 0
    if not 1 <= userid <= MAX_ID:
        raise RequestError(f"userid: must be a whole number from 1 to {MAX_ID}")
    return userid


def user_state(services: Services, userid: int) -> UserState:
    """Return what is known of a user, and the event up to which it is known.

    Raises:
        RequestError: if nothing is known of the user, or nothing is published yet.
        StoreError: if Redis does not answer, or holds what cannot be read.
    """
    live = services.follower.require()
    profile, seen, applied = live.profiles.profile(userid)
    if profile is None and not live.profiles.readable and seen:
        raise RequestError(live.not_followed or "the profile cannot be read", 503)
    if profile is None:
        raise RequestError(f"userid: user {userid} is not known yet", 404)
    return UserState(
        userid=userid,
        n=profile.n,
        likes=profile.likes,
        first_ts=profile.first_ts,
        last_ts=profile.last_ts,
        genres=_tallies(GENRES, profile.genre_n, profile.genre_likes),
        decades=_tallies([decade_name(decade) for decade in range(DECADES)], profile.decade_n, profile.decade_likes),
        terms=_terms(profile, live),
        seen=len(seen),
        recent=_recent(profile, live),
        as_of=AsOf(
            partition=live.profiles.shard_of(userid), offset=-1 if applied is None else applied, ts=profile.last_ts
        ),
    )


def user_export(services: Services, userid: int) -> UserExport:
    """Return all that is stored about a user.

    Raises:
        RequestError: if nothing is stored, or nothing is published yet.
        StoreError: if a store does not answer, or holds what cannot be read.
    """
    live = services.follower.require()
    profile, seen = live.profiles.read_users([userid]).get(userid, (None, {}))
    user = live.profiles.attributes([userid])[userid]
    records = list(records_of(services.settings, userid))
    features = Features(services.settings, live.profiles.generation).users([userid]).get(userid)
    if profile is None and not records and features is None and user == User(userid):
        raise RequestError(f"userid: nothing is stored of user {userid}", 404)
    return UserExport(
        userid=userid,
        attributes=UserAttributes(gender=user.gender, age=user.age, occupation=user.occupation),
        profile=None if profile is None else {field.name: getattr(profile, field.name) for field in fields(profile)},
        ratings=[StoredRating(itemid=itemid, rating=rating, ts=ts) for itemid, (ts, rating) in sorted(seen.items())],
        features=features,
        records=[_record(record) for record in records],
    )


def _record(record: Logged) -> StoredRecord:
    value = None if record.value is None else record.value.decode(errors="backslashreplace")
    return StoredRecord(partition=record.partition, offset=record.offset, appended=record.created, value=value)


def _tallies(names: Sequence[str], n: Sequence[int], likes: Sequence[int]) -> dict[str, Tally]:
    """Count ratings and likes by name; without names that have no rating."""
    return {name: Tally(n=rated, likes=liked) for name, rated, liked in zip(names, n, likes, strict=True) if rated}


def _terms(profile: Profile, live: Live) -> Terms:
    wanted = preferences(profile.recent, live.items.items.get)
    return Terms(
        genres={GENRES[genre]: weight for genre, weight in wanted["genres"].items()},
        decades={decade_name(decade): weight for decade, weight in wanted["decades"].items()},
    )


def _recent(profile: Profile, live: Live) -> list[RecentRating]:
    return [
        RecentRating(itemid=itemid, title=live.items.items[itemid].title, rating=rating, ts=ts)
        for ts, itemid, rating in reversed(profile.recent)
    ]
