"""`POST /events`, `POST /ratings`: events on their way to the log."""

from __future__ import annotations

import time

from flask import Flask, Response, request

from api.answers import AcceptedEvents
from api.data_set_requests import MAX_EVENTS
from api.http import MAX_FIELDS, request_body, respond
from api.messages import RequestError, parse
from api.services import Services
from api.shedding import Places

RATING_BYTES = 4096
"""Largest body of a rating."""

FIELDS_OF_EVENT = 6
"""More values than an event has."""


def add_events(app: Flask, services: Services, places: Places) -> None:
    """Add the routes to an application; each request takes one of the places while Kafka is asked."""

    @app.post("/events")
    def send_events() -> Response:
        live = services.follower.require()
        body = request_body(MAX_FIELDS + FIELDS_OF_EVENT * MAX_EVENTS, f"; send at most {MAX_EVENTS} events")
        listed = isinstance(body, list)
        events = live.data_set.requests.events_of(body, int(time.time()))
        with places.one():
            accepted = services.ingest.send(live.schema.events, events, listed=listed)
        services.note(live.schema, events, accepted)
        return respond(AcceptedEvents(accepted) if listed else accepted[0], 202)

    @app.post("/ratings")
    def rate() -> Response:
        request.max_content_length = RATING_BYTES
        live = services.follower.require()
        requests = live.data_set.requests
        if requests.rating is None:
            raise RequestError("this data set has no events of the type rating; send POST /events", 404)
        event = requests.event_of(parse(requests.rating, request_body()), int(time.time()))
        with places.one():
            accepted = services.ingest.send(live.schema.events, [event])
        services.note(live.schema, [event], accepted)
        return respond(accepted[0], 202)
