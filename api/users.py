"""Users: what is known of one, all that is stored, and the erasure."""

from __future__ import annotations

from flask import Flask, Response

from api.answers import AsOf, StoredRecord, UserExport, UserState
from api.http import respond
from api.live import Live
from api.messages import RequestError
from api.services import Services
from api.shedding import Places
from features import Erasure, Id, Profile
from scoring import preferences
from stores import Logged
from stores.archive.user_records import records_of
from stores.feast.feature_rows import FeatureRows


def add_users(app: Flask, services: Services, places: Places) -> None:
    """Add the routes to an application; erasures take one of the places."""
    # One at a time: a whole partition of the log is read.
    exports = Places(1, services.settings.api.queue_s)

    @app.get("/users/<id:userid>")
    def user(userid: str) -> Response:
        live = services.follower.require()
        known = user_state(live, live.data_set.userid(userid))
        if known is None:
            raise RequestError(f"userid: user {userid} is not known yet", 404)
        return respond(known)

    @app.delete("/users/<id:userid>")
    def erase(userid: str) -> Response:
        data_set = services.follower.require().data_set
        erasure = Erasure(data_set.userid(userid))
        with places.one():
            accepted = services.ingest.erase(data_set.schema.events, erasure)
        services.ends.note(accepted.partition, accepted.offset)
        return respond(accepted, 202)

    @app.get("/users/<id:userid>/export")
    def export(userid: str) -> Response:
        live = services.follower.require()
        wanted = live.data_set.userid(userid)
        with exports.one():
            return respond(user_export(services, live, wanted))


def user_state(live: Live, userid: Id) -> UserState | None:
    """Return what is known of a user, and the event up to which it is known; None of a user who is not known yet.

    Raises:
        RequestError: if the user's profile cannot be read.
        StoreError: if Redis does not answer, or holds what cannot be read.
    """
    profile, seen, applied, _ = live.profiles.profile(userid)
    if profile is None and not live.profiles.readable and seen:
        raise RequestError(live.not_followed or "the profile cannot be read", 503)
    if profile is None:
        return None
    answers = live.data_set.answers
    return answers.user(
        userid=userid,
        n=profile.n,
        likes=profile.likes,
        first_ts=profile.first_ts,
        last_ts=profile.last_ts,
        terms=answers.terms(preferences(live.schema, profile.weights)),
        seen=len(seen),
        recent=_recent(profile, live),
        as_of=AsOf(
            partition=live.profiles.shard_of(userid), offset=-1 if applied is None else applied, ts=profile.last_ts
        ),
        **answers.tallies(profile),
    )


def user_export(services: Services, live: Live, userid: Id) -> UserExport:
    """Return all that is stored about a user.

    Raises:
        RequestError: if nothing is stored.
        StoreError: if a store does not answer, or holds what cannot be read.
    """
    profile, seen = live.profiles.read_users([userid]).get(userid, (None, {}))
    user = live.profiles.attributes([userid])[userid]
    records = list(records_of(services.settings, userid))
    features = FeatureRows(services.settings, live.schema, live.profiles.generation).users([userid]).get(userid)
    if profile is None and not records and features is None and user == live.schema.user(userid):
        raise RequestError(f"userid: nothing is stored of user {userid}", 404)
    answers = live.data_set.answers
    return answers.export(
        userid=userid,
        attributes=answers.user_attributes(user),
        profile=None if profile is None else answers.profile(profile),
        features=features,
        records=[_record(record) for record in records],
        **{answers.stored: answers.events(seen)},
    )


def _record(record: Logged) -> StoredRecord:
    value = None if record.value is None else record.value.decode(errors="backslashreplace")
    return StoredRecord(partition=record.partition, offset=record.offset, appended=record.created, value=value)


def _recent(profile: Profile, live: Live) -> list[dict[str, object]]:
    answers = live.data_set.answers
    return [
        {**answers.event(itemid, code, ts), "title": live.items.name(itemid)}
        for ts, itemid, code in reversed(profile.recent)
    ]
