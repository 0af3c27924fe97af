"""The Flask application."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, g, jsonify, request
from pydantic_core import from_json
from werkzeug.exceptions import HTTPException

from api.drift import add_drift
from api.ingest import Ingest
from api.live import Follower
from api.log_watch import LogWatch
from api.messages import RatingRequest, RecommendationRequest, RequestError, parse
from api.metrics import Metrics
from api.openapi import document
from api.pages import add_pages
from api.positions import LogEnds, Waits
from api.recommend import Recommender
from api.security.tokens import OPEN, guard, is_guarded
from api.shedding import ARRIVED, Overloaded, Places
from features import DECADES, GENRES, preferences
from features.catalogue import decade_name
from features.event import MAX_ID
from settings import Settings
from stores import DriftStore, Models, Profiles, Published, StoreError, connect
from stores.elasticsearch import ItemIndex
from stores.feast.feature_store import Features

RATING_BYTES = 4096
"""Largest body of a rating."""

MAX_FIELDS, FIELDS_OF_ENTRY = 16, 4
"""More values than a request has outside of its lists, and than an entry of `history` and one of `exclude` have."""


@dataclass
class Services:
    """What the routes work with."""

    settings: Settings
    profiles: Profiles
    follower: Follower
    recommender: Recommender
    ingest: Ingest
    log_watch: LogWatch
    ends: LogEnds
    index: ItemIndex
    models: Models
    metrics: Metrics

    @classmethod
    def of(cls, settings: Settings) -> Services:
        """All parts; connections are made when they are first used."""
        profiles = Profiles(connect(settings.redis), settings.kafka.topic, settings.kafka.partitions)
        features = Features(settings)
        follower = Follower(settings, Published(profiles.client), features)
        index = ItemIndex(settings.elasticsearch)
        models = Models(settings.triton)
        log_watch = LogWatch(settings, profiles)
        ends = LogEnds(settings.kafka)
        waits = Waits(profiles, ends, settings.api.threads, settings.api.after_timeout_s)
        recommender = Recommender(
            settings, follower, profiles, features, index, models, waits, log_watch.stopped_partitions
        )
        ingest = Ingest(settings.kafka, log_watch, timeout_s=5.0, max_future_s=settings.stream.max_future_s)
        return cls(settings, profiles, follower, recommender, ingest, log_watch, ends, index, models, Metrics())

    def close(self) -> None:
        """Close the connections."""
        self.follower.stop()
        self.log_watch.stop()
        self.ingest.close()
        self.ends.close()
        self.index.close()
        self.models.close()


def create_app(settings: Settings) -> Flask:
    """The application; it follows what is published from the start."""
    app = Flask("reelstream", static_folder=None)
    parts = Services.of(settings)
    parts.follower.start()
    parts.log_watch.start()
    app.config["MAX_CONTENT_LENGTH"] = settings.api.max_body_kb * 1024
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["reelstream"] = parts
    _errors(app)
    _timing(app, parts)
    tokens = guard(app, settings.api)
    _recommendation(app, parts, Places(settings.api.threads, settings.api.queue_s))
    # Places of their own, so that ratings that wait for Kafka leave room for lists.
    _events(app, parts, Places(settings.api.threads, settings.api.queue_s))
    add_drift(app, DriftStore(parts.profiles.client), lambda: body(MAX_FIELDS))
    _health(app, parts)
    add_pages(app, settings, tokens, parts.profiles, parts.follower, parts.index, parts.models, parts.log_watch)
    _description(app, settings)
    # What stands for good is looked through no more: that held up all requests for 0.2 s, every few hundred of them.
    gc.collect()
    gc.freeze()
    return app


def _recommendation(app: Flask, parts: Services, places: Places) -> None:
    max_entries = parts.settings.api.max_history

    @app.post("/ml/rec")
    def recommend() -> Response:
        wanted = parse(RecommendationRequest, body(MAX_FIELDS + FIELDS_OF_ENTRY * max_entries), max_entries)
        # Who waits for the stream holds no place meanwhile.
        answer = parts.recommender.begin(wanted)
        with places.one():
            parts.recommender.complete(wanted, answer)
        for store in answer.degraded:
            parts.metrics.degraded.labels(store).inc()
        if answer.fallback:
            parts.metrics.fallback.labels(answer.fallback).inc()
        return jsonify(answer.as_json())

    @app.get("/users/<userid>")
    def user(userid: str) -> Response:
        number = int(userid) if userid.isascii() and userid.isdigit() and len(userid) <= 10 else 0
        if not 1 <= number <= MAX_ID:
            raise RequestError(f"userid: must be a whole number from 1 to {MAX_ID}")
        return jsonify(known_of(parts, number))


def known_of(parts: Services, userid: int) -> dict[str, Any]:
    """What is known of a user, and as of which event."""
    live = parts.follower.require()
    profile, seen, applied = parts.profiles.profile(userid)
    if profile is None:
        raise RequestError(f"userid: user {userid} is not known yet", 404)
    terms = preferences(profile.recent, live.items.items.get)
    recent = []
    for ts, itemid, rating in reversed(profile.recent):
        item = live.items.items[itemid]
        recent.append({"itemid": itemid, "title": item.title, "rating": rating, "ts": ts})
    by_decade = {
        decade_name(decade): {"n": profile.decade_n[decade], "likes": profile.decade_likes[decade]}
        for decade in range(DECADES)
        if profile.decade_n[decade]
    }
    by_genre = {
        GENRES[genre]: {"n": profile.genre_n[genre], "likes": profile.genre_likes[genre]}
        for genre in range(len(GENRES))
        if profile.genre_n[genre]
    }
    return {
        "userid": userid,
        "n": profile.n,
        "likes": profile.likes,
        "first_ts": profile.first_ts,
        "last_ts": profile.last_ts,
        "genres": by_genre,
        "decades": by_decade,
        "terms": {
            "genres": {GENRES[genre]: weight for genre, weight in terms["genres"].items()},
            "decades": {decade_name(decade): weight for decade, weight in terms["decades"].items()},
        },
        "seen": len(seen),
        "recent": recent,
        "as_of": {"partition": parts.profiles.shard_of(userid), "offset": applied, "ts": profile.last_ts},
    }


def _events(app: Flask, parts: Services, places: Places) -> None:
    @app.post("/ratings")
    def rate() -> tuple[Response, int]:
        request.max_content_length = RATING_BYTES
        rating = parse(RatingRequest, body(MAX_FIELDS))
        live = parts.follower.live
        if live is not None and rating.itemid not in live.items.items:
            raise RequestError(f"itemid: {rating.itemid} is not in the catalogue")
        with places.one():
            position = parts.ingest.send(rating)
        parts.ends.note(position["partition"], position["offset"])
        return jsonify(position), 202


def _health(app: Flask, parts: Services) -> None:
    @app.get("/health/live")
    def live() -> Response:
        return jsonify({"status": "ok"})

    @app.get("/health/ready")
    def ready() -> tuple[Response, int]:
        checks = {
            "published": parts.follower.live is not None,
            "redis": parts.follower.waits_for is None,
            "elasticsearch": parts.index.live(),
            "triton": parts.models.live(),
            "log": not parts.log_watch.stopped,
        }
        told: dict[str, Any] = {"status": "ok" if all(checks.values()) else "not ready", "checks": checks}
        if parts.follower.waits_for:
            told["waits_for"] = parts.follower.waits_for
        if parts.log_watch.stopped:
            told["stopped"] = {str(partition): why for partition, why in sorted(parts.log_watch.stopped.items())}
        return jsonify(told), 200 if all(checks.values()) else 503

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(parts.metrics.text(), mimetype="text/plain")


def _description(app: Flask, settings: Settings) -> None:
    told = document(settings.api, is_guarded(settings.api))

    @app.get("/openapi.json")
    def openapi() -> Response:
        return jsonify(told)


def _timing(app: Flask, parts: Services) -> None:
    @app.before_request
    def begin() -> None:
        now = time.perf_counter()
        g.began = request.environ.get(ARRIVED, now)
        if now - g.began > parts.settings.api.queue_s and request.endpoint != OPEN:
            raise Overloaded

    @app.after_request
    def finish(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "other"
        if "began" in g:
            parts.metrics.seconds.labels(route).observe(time.perf_counter() - g.began)
        parts.metrics.requests.labels(route, str(response.status_code)).inc()
        return response


def _errors(app: Flask) -> None:
    @app.errorhandler(RequestError)
    def refused(error: RequestError) -> tuple[Response, int, dict[str, str]]:
        headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
        return jsonify({"error": str(error)}), error.status, headers

    @app.errorhandler(Overloaded)
    def overloaded(_: Overloaded) -> tuple[Response, int, dict[str, str]]:
        return jsonify({"error": "too many requests at once; try again in a second"}), 503, {"Retry-After": "1"}

    @app.errorhandler(StoreError)
    def away(error: StoreError) -> tuple[Response, int, dict[str, str]]:
        return jsonify({"error": str(error)}), 503, {"Retry-After": "1"}

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> tuple[Response, int]:
        return jsonify({"error": error.description or error.name}), error.code or 500

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> tuple[Response, int]:
        app.logger.exception("unexpected error")
        return jsonify({"error": "an unexpected error; see the log of the API"}), 500


def body(max_values: int) -> object:
    """The request's body as JSON.

    Args:
        max_values: values, in lists and objects, that a good body may have; commas are counted before any is read.

    Raises:
        RequestError: if it is not JSON, or has more values.
    """
    data = request.get_data(cache=False)
    if data.count(b",") >= max_values:
        raise RequestError(
            f"the body may have at most {max_values} values; exclude and history have limits of their own"
        )
    try:
        return from_json(data)
    except ValueError:
        raise RequestError("the body must be a JSON object") from None
