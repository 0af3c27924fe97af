"""`PUT /items/<itemid>`, `DELETE /items/<itemid>`, `PUT /users/<userid>`: changes on their way to the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flask import Flask, Response

from api.answers import AnswerModel, Place
from api.change_requests import Versions, version_in_query
from api.http import request_body, respond
from api.live import Live
from api.services import Services
from api.shedding import Places
from features import ItemChange

MAX_VALUES = 10_000
"""Most values of a body; the commas of its texts count as well."""

ADVICE = "; shorten the lists or the texts"


def add_changes(app: Flask, services: Services, places: Places) -> None:
    """Add the routes to an application; each request takes one of the places while Kafka is asked."""
    versions = Versions()

    @app.put("/items/<id:itemid>")
    def put_item(itemid: str) -> Response:
        live = services.follower.require()
        known = live.data_set.itemid(itemid)
        change, unknown = live.data_set.changes.put(known, request_body(MAX_VALUES, ADVICE), versions.next())
        return respond(change_item(services, places, live, change, unknown), 202)

    @app.delete("/items/<id:itemid>")
    def withdraw_item(itemid: str) -> Response:
        live = services.follower.require()
        version = version_in_query()
        withdrawal = live.data_set.changes.withdrawal(
            live.data_set.itemid(itemid), versions.next() if version is None else version
        )
        return respond(change_item(services, places, live, withdrawal, {}), 202)

    @app.put("/users/<id:userid>")
    def put_user(userid: str) -> Response:
        live = services.follower.require()
        known = live.data_set.userid(userid)
        change, unknown = live.data_set.changes.of_user(known, request_body(MAX_VALUES, ADVICE))
        with places.one():
            position = services.ingest.change_user(live.schema.events, change)
        services.ends.note(position.partition, position.offset)
        answer = live.data_set.answers.user_changed(
            userid=known, partition=position.partition, offset=position.offset, unknown_values=unknown
        )
        return respond(answer, 202)


def change_item(
    services: Services, places: Places, live: Live, change: ItemChange, unknown: Mapping[str, Sequence[str]]
) -> AnswerModel:
    """Append the change of an item to every partition, and return the answer.

    Raises:
        Overloaded: if all places are taken.
        StoreError: if not every partition has acknowledged it; the change can be sent again with its version.
    """
    with places.one():
        positions = services.ingest.change_item(live.schema.events, change)
    for position in positions:
        services.ends.note(position.partition, position.offset)
    return live.data_set.answers.item_changed(
        itemid=change.itemid,
        version=change.version,
        withdrawn=change.withdrawn,
        unknown_values=unknown,
        positions=[Place(partition=partition, offset=offset) for partition, offset in positions],
    )
