"""Access control: tokens with scopes, sent as a bearer token or, by a browser that has signed in, as a cookie."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from flask import Flask, g, redirect, request, url_for
from werkzeug.wrappers import Response

from api.messages import RequestError
from api.security.hosts import Hosts, same_site
from settings import ApiSettings, SettingsError

READ, WRITE, METRICS, ADMIN = "read", "write", "metrics", "admin"
SCOPES = (READ, WRITE, METRICS, ADMIN)

NEEDED = {
    "recommend": READ,
    "recommend_batch": READ,
    "user": READ,
    "export": READ,
    "erase": WRITE,
    "send_events": WRITE,
    "rate": WRITE,
    "item": READ,
    "put_item": WRITE,
    "withdraw_item": WRITE,
    "put_user": WRITE,
    "similar_items": READ,
    "popular_items": READ,
    "latest_items": READ,
    "drift_alarms": READ,
    "acknowledge_drift": WRITE,
    "ready": READ,
    "metrics": METRICS,
    "openapi": READ,
}
"""Scope that each endpoint needs; `live` needs none, the pages READ, and anything else that is not named here ADMIN."""

OPEN = "live"
PAGES = "pages."
SIGN_IN = ("pages.sign_in", "pages.enter", "pages.leave")
"""Endpoint of liveness, beginning of the endpoints of the pages, and those of them where a token is given."""

COOKIE = "reelstream_token"


@dataclass(frozen=True)
class Token:
    """A token and what its bearer may do."""

    secret: str
    scopes: frozenset[str]


def tokens_of(settings: ApiSettings) -> list[Token]:
    """The tokens of the settings: `scope+scope:token`, separated by spaces.

    Raises:
        SettingsError: naming the rule; it does not show the token.
    """
    tokens = []
    for number, entry in enumerate(settings.tokens.get_secret_value().split(), 1):
        scopes, _, secret = entry.partition(":")
        given = frozenset(scopes.split("+"))
        if not secret or not given <= set(SCOPES):
            raise SettingsError(
                f"setting api.tokens, entry {number}: must be scopes and a token, for example read+write:TOKEN; "
                f"the scopes are {', '.join(SCOPES)}"
            )
        tokens.append(Token(secret, given))
    return tokens


def is_loopback(host: str) -> bool:
    """Return True if an address can be reached only from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_guarded(settings: ApiSettings) -> bool:
    """Return True if requests need a token."""
    return bool(tokens_of(settings)) or not is_loopback(settings.host)


def guard(app: Flask, settings: ApiSettings) -> list[Token]:
    """Ask each request for a token with the scope that it needs, and refuse what another site has a browser send.

    A request for a host, or from a page of a host, that is not allowed is refused on every route.

    Without tokens in the settings everybody may do everything on the loopback address, and beyond it nobody anything
    but ask whether the process lives. `g.scopes` is what the request may do.

    Returns:
        The tokens.

    Raises:
        SettingsError: if the tokens or the hosts cannot be read.
    """
    tokens = tokens_of(settings)
    hosts = Hosts(settings)
    is_open = not is_guarded(settings)

    @app.before_request
    def check() -> Response | None:
        refusal = hosts.refusal(request.environ)
        if refusal is not None:
            raise RequestError(refusal, 403)
        if request.endpoint == OPEN:
            return None
        bearer = _bearer()
        if bearer is None and _from_elsewhere():
            raise RequestError("pages of other sites may not send this request", 403)
        if is_open:
            g.scopes = frozenset(SCOPES)
            return None
        endpoint = request.endpoint or ""
        if tokens and endpoint in SIGN_IN:
            return None
        token = token_of(tokens, bearer if bearer is not None else request.cookies.get(COOKIE))
        if token is None:
            if tokens and endpoint.startswith(PAGES) and "text/html" in request.headers.get("Accept", ""):
                return redirect(url_for("pages.sign_in", page=endpoint.removeprefix(PAGES)))
            raise RequestError(
                "a token is required: send Authorization: Bearer TOKEN with a token from the setting api.tokens", 401
            )
        needed = READ if endpoint.startswith(PAGES) else NEEDED.get(endpoint, ADMIN)
        if not may(token.scopes, needed):
            raise RequestError(f"the token lacks the scope {needed}; use one that has it", 403)
        g.scopes = token.scopes
        return None

    return tokens


def may(scopes: frozenset[str], needed: str) -> bool:
    """Return True if the scopes include the needed one; ADMIN includes all."""
    return needed in scopes or ADMIN in scopes


def token_of(tokens: Sequence[Token], secret: str | None) -> Token | None:
    """The token with this secret, None where there is none; takes as long whether it is nearly right or not."""
    # compare_digest takes ASCII text only.
    if not secret or not secret.isascii():
        return None
    return next((each for each in tokens if hmac.compare_digest(each.secret, secret)), None)


def _bearer() -> str | None:
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else None


def _from_elsewhere() -> bool:
    """Return True if a page of another site sent this request and the request changes something."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return False
    origin = request.headers.get("Origin")
    return origin is not None and not same_site(origin, request.environ.get("HTTP_HOST", ""), request.scheme)
