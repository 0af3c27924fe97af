"""The Flask application."""

from __future__ import annotations

import gc
import time
from typing import Any

from flask import Flask, Response, g, jsonify, request

from api.answers import Check, Lives, Readiness
from api.batches import FIELDS_OF_ENTRY, add_batches
from api.catalogue import add_items
from api.drift import add_drift
from api.events import add_events
from api.http import MAX_FIELDS, add_error_handlers, request_body, respond
from api.item_changes import add_changes
from api.item_lists import add_item_lists
from api.messages import parse
from api.openapi import Description
from api.pages import add_pages
from api.paths import IdConverter
from api.security.tokens import OPEN, guard
from api.services import Services
from api.shedding import ARRIVED, Overloaded, Places
from api.users import add_users
from settings import Settings


def create_app(settings: Settings) -> Flask:
    """The application; it follows what is published from the start."""
    app = Flask("reelstream", static_folder=None)
    services = Services.of(settings)
    services.follower.start()
    services.log_watch.start()
    app.config["MAX_CONTENT_LENGTH"] = settings.api.max_body_kb * 1024
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.converters["id"] = IdConverter
    app.extensions["reelstream"] = services
    add_error_handlers(app)
    _timing(app, services)
    tokens = guard(app, settings.api)
    places = Places(settings.api.threads, settings.api.queue_s)
    _recommendation(app, services, places)
    add_batches(app, services, places)
    add_item_lists(app, services, places)
    # Places of their own, so that events that wait for Kafka leave room for lists.
    for_events = Places(settings.api.threads, settings.api.queue_s)
    add_events(app, services, for_events)
    add_users(app, services, for_events)
    add_items(app, services)
    add_changes(app, services, for_events)
    add_drift(app, services.drift)
    _health(app, services)
    add_pages(app, services, tokens)
    _description(app, services)
    # What stands for good is looked through no more: that held up all requests for 0.2 s, every few hundred of them.
    gc.collect()
    gc.freeze()
    return app


def _recommendation(app: Flask, services: Services, places: Places) -> None:
    max_entries = services.settings.api.max_history
    max_values = MAX_FIELDS + FIELDS_OF_ENTRY * max_entries

    @app.post("/ml/rec")
    def recommend() -> Response:
        model = services.follower.require().data_set.requests.recommendation
        body = request_body(max_values, "; exclude and history have limits of their own")
        wanted = parse(model, body, max_entries)
        # Who waits for the stream holds no place meanwhile.
        answer = services.recommender.begin(wanted)
        with places.one():
            services.recommender.complete(wanted, answer)
        services.note_answer(answer)
        return respond(answer.finished())


def _health(app: Flask, services: Services) -> None:
    @app.get("/health/live")
    def live() -> Response:
        return respond(Lives(status="ok"))

    @app.get("/health/ready")
    def ready() -> Response:
        readiness = readiness_of(services)
        return respond(readiness, 200 if readiness.status == "ok" else 503)

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(services.metrics.text(), mimetype="text/plain")


def readiness_of(services: Services) -> Readiness:
    """Report whether lists can be made with every store."""
    follower, stopped = services.follower, services.log_watch.stopped
    checks: dict[Check, bool] = {
        "published": follower.live is not None,
        "redis": follower.waits_for is None,
        "elasticsearch": services.index.live(),
        "triton": services.models.live(),
        "log": not stopped,
    }
    missing: dict[str, Any] = {}
    if waits_for := follower.waits_for or follower.limited_by:
        missing["waits_for"] = waits_for
    if stopped:
        missing["stopped"] = {str(partition): why for partition, why in sorted(stopped.items())}
    return Readiness(status="ok" if all(checks.values()) else "not ready", checks=checks, **missing)


def _description(app: Flask, services: Services) -> None:
    description = Description(services.settings.api)

    @app.get("/openapi.json")
    def openapi() -> Response:
        return jsonify(description.of(services.follower.require().data_set))


def _timing(app: Flask, services: Services) -> None:
    @app.before_request
    def begin() -> None:
        now = time.perf_counter()
        g.began = request.environ.get(ARRIVED, now)
        if now - g.began > services.settings.api.queue_s and request.endpoint != OPEN:
            raise Overloaded

    @app.after_request
    def finish(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "other"
        if "began" in g:
            services.metrics.seconds.labels(route).observe(time.perf_counter() - g.began)
        services.metrics.requests.labels(route, str(response.status_code)).inc()
        return response
