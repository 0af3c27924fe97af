"""The Flask application."""

from __future__ import annotations

import gc
import time
from typing import Any

from flask import Flask, Response, g, jsonify, request

from api.answers import Check, Lives, Readiness
from api.drift import add_drift
from api.http import MAX_FIELDS, add_error_handlers, request_body, respond
from api.messages import RatingRequest, RecommendationRequest, RequestError, parse
from api.openapi import document
from api.pages import add_pages
from api.security.tokens import OPEN, guard, is_guarded
from api.services import Services
from api.shedding import ARRIVED, Overloaded, Places
from api.users import user_export, user_of, user_state
from settings import Settings

RATING_BYTES = 4096
"""Largest body of a rating."""

FIELDS_OF_ENTRY = 4
"""More values than an entry of `history` and one of `exclude` have."""


def create_app(settings: Settings) -> Flask:
    """The application; it follows what is published from the start."""
    app = Flask("reelstream", static_folder=None)
    services = Services.of(settings)
    services.follower.start()
    services.log_watch.start()
    app.config["MAX_CONTENT_LENGTH"] = settings.api.max_body_kb * 1024
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["reelstream"] = services
    add_error_handlers(app)
    _timing(app, services)
    tokens = guard(app, settings.api)
    _recommendation(app, services, Places(settings.api.threads, settings.api.queue_s))
    # Places of their own, so that ratings that wait for Kafka leave room for lists.
    for_events = Places(settings.api.threads, settings.api.queue_s)
    _events(app, services, for_events)
    _erasures(app, services, for_events)
    add_drift(app, services.drift)
    _health(app, services)
    add_pages(app, services, tokens)
    _description(app, settings)
    # What stands for good is looked through no more: that held up all requests for 0.2 s, every few hundred of them.
    gc.collect()
    gc.freeze()
    return app


def _recommendation(app: Flask, services: Services, places: Places) -> None:
    max_entries = services.settings.api.max_history

    @app.post("/ml/rec")
    def recommend() -> Response:
        wanted = parse(RecommendationRequest, request_body(MAX_FIELDS + FIELDS_OF_ENTRY * max_entries), max_entries)
        # Who waits for the stream holds no place meanwhile.
        answer = services.recommender.begin(wanted)
        with places.one():
            services.recommender.complete(wanted, answer)
        for store in answer.degraded:
            services.metrics.degraded.labels(store).inc()
        if answer.fallback:
            services.metrics.fallback.labels(answer.fallback).inc()
        return respond(answer.finished())

    @app.get("/users/<userid>")
    def user(userid: str) -> Response:
        return respond(user_state(services, user_of(userid)))


def _events(app: Flask, services: Services, places: Places) -> None:
    @app.post("/ratings")
    def rate() -> Response:
        request.max_content_length = RATING_BYTES
        rating = parse(RatingRequest, request_body())
        live = services.follower.live
        if live is not None and rating.itemid not in live.items.items:
            raise RequestError(f"itemid: {rating.itemid} is not in the catalogue")
        with places.one():
            accepted = services.ingest.send(rating)
        services.ends.note(accepted.partition, accepted.offset)
        return respond(accepted, 202)


def _erasures(app: Flask, services: Services, places: Places) -> None:
    # One at a time: a whole partition of the log is read.
    exports = Places(1, services.settings.api.queue_s)

    @app.delete("/users/<userid>")
    def erase(userid: str) -> Response:
        wanted = user_of(userid)
        with places.one():
            accepted = services.ingest.erase(wanted)
        services.ends.note(accepted.partition, accepted.offset)
        return respond(accepted, 202)

    @app.get("/users/<userid>/export")
    def export(userid: str) -> Response:
        wanted = user_of(userid)
        with exports.one():
            return respond(user_export(services, wanted))


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


def _description(app: Flask, settings: Settings) -> None:
    told = document(settings.api, is_guarded(settings.api))

    @app.get("/openapi.json")
    def openapi() -> Response:
        return jsonify(told)


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
