"""Addresses of the pages and of what they show."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, g, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as Answer

from api.http import respond
from api.live import Follower, Live
from api.pages.drift_state import DriftState
from api.pages.sign_in import PAGES, add_sign_in
from api.pages.stream_state import StreamState
from api.pages.tail import Tail
from api.pages.words import Words, described
from api.security.tokens import COOKIE, WRITE, Token, may
from api.services import Services
from api.users import user_state
from drift import Series

CSP = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        # plotly.js writes styles.
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


def add_pages(app: Flask, services: Services, tokens: Sequence[Token]) -> None:
    """Add the pages to the application. Nothing is watched before somebody looks."""
    pages = Blueprint(
        "pages", __name__, static_folder="static", static_url_path="/pages/static", template_folder="templates"
    )
    stream = StreamState(services)
    drift = DriftState(services.drift, stream.audience)
    _pages(pages, services.follower)
    _data(pages, services.follower, stream, drift)
    add_sign_in(pages, tokens)
    pages.after_request(_headers)
    app.register_blueprint(pages)


def _pages(pages: Blueprint, follower: Follower) -> None:
    @pages.get("/")
    def home() -> Answer:
        return redirect(url_for("pages.live"))

    def show(page: str) -> str:
        return render_template(
            f"{page}.html",
            page=page,
            pages=PAGES,
            words=Words.of(follower.live.schema if follower.live else None),
            may_write=may(g.scopes, WRITE),
            signed_in=COOKIE in request.cookies,
        )

    for page in PAGES:
        pages.add_url_rule(f"/{page}", page, lambda page=page: show(page))

    @pages.get("/pages/plotly.js")
    def plotly() -> Answer:
        compressed = bool(request.accept_encodings.quality("gzip"))
        content, etag = _plotly_bytes(compressed)
        response = Response(content, mimetype="text/javascript")
        if compressed:
            response.headers["Content-Encoding"] = "gzip"
        response.headers["Vary"] = "Accept-Encoding"
        response.set_etag(etag)
        return response.make_conditional(request)


def _data(pages: Blueprint, follower: Follower, stream: StreamState, drift: DriftState) -> None:
    @pages.get("/pages/data/stream")
    def stream_data() -> Response:
        return jsonify(stream.look(_since()))

    @pages.get("/pages/data/dataset")
    def data_set() -> Response:
        return jsonify(described(follower.require().schema))

    @pages.get("/pages/data/recent")
    def recent_data() -> Response:
        seen = stream.log.look()
        events = recent_events(seen.value.tail, follower.live) if seen.value else []
        name = follower.live.schema.dataset.name if follower.live else None
        return jsonify({"error": seen.error, "dataset": name, "events": events})

    @pages.get("/pages/data/user/<id:userid>")
    def user_data(userid: str) -> Response:
        """The answer of `GET /users/<id>`, or null: a browser writes every 404 to its console as an error."""
        live = follower.require()
        known = user_state(live, live.data_set.userid(userid))
        return jsonify(None) if known is None else respond(known)

    @pages.get("/pages/data/drift")
    def drift_data() -> Response:
        return jsonify(drift.look_at_drift(_since()))

    @pages.get("/pages/data/series")
    def series_data() -> Response:
        live = follower.live
        return jsonify(Series(live.schema).descriptions if live else {})

    @pages.get("/pages/data/histogram")
    def histogram_data() -> Response:
        """A series' latest window, or null: a page may still show a series that a reset has deleted."""
        histogram = drift.histogram(request.args.get("series", ""))
        return jsonify(histogram.model_dump() if histogram else None)

    @pages.get("/pages/data/quality")
    def quality_data() -> Response:
        return jsonify(drift.look_at_quality(_since()))


def recent_events(tail: Tail, live: Live | None) -> list[dict[str, Any]]:
    """The events that arrived last, with the titles of their items; of an item that is not known yet, its id."""
    if live is None or tail.form is None:
        return []
    return [{**tail.form.fields(event), "title": live.items.name(event.itemid)} for event in tail.recent]


def _since() -> int:
    return request.args.get("since", default=-1, type=int)


def _headers(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = CSP
    response.headers["X-Content-Type-Options"] = "nosniff"
    # With no-referrer, a browser would say `Origin: null` when the form is sent.
    response.headers["Referrer-Policy"] = "same-origin"
    shipped = request.endpoint in ("pages.static", "pages.plotly")
    # What is shipped is asked for anew each time and sent only where it has changed.
    response.headers["Cache-Control"] = "no-cache" if shipped else "no-store"
    return response


@lru_cache(maxsize=2)
def _plotly_bytes(compressed: bool) -> tuple[bytes, str]:
    """The file and its entity tag, read once: 4.8 MB, or 1.4 MB for a browser that takes gzip."""
    content = _plotly().read_bytes()
    content = gzip.compress(content, mtime=0) if compressed else content
    return content, hashlib.sha256(content).hexdigest()


def _plotly() -> Path:
    """The file in the package; the package itself is not imported."""
    spec = find_spec("plotly")
    folders: Any = spec.submodule_search_locations if spec else None
    return Path(next(iter(folders))) / "package_data" / "plotly.min.js"
