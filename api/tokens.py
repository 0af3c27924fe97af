"""Who may do what: bearer tokens with scopes."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass

from flask import Flask, request

from api.messages import RequestError
from settings import ApiSettings, SettingsError

READ, WRITE, ADMIN = "read", "write", "admin"
SCOPES = (READ, WRITE, ADMIN)

NEEDED = {
    "recommend": READ,
    "user": READ,
    "rate": WRITE,
    "ready": READ,
    "metrics": ADMIN,
}
"""Scope that each endpoint needs; `live` needs none, and anything else that is not named here needs ADMIN."""

OPEN = "live"


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
                f"setting api.tokens, entry {number}: must be scopes and a token, as in read+write:TOKEN; "
                f"the scopes are {', '.join(SCOPES)}"
            )
        tokens.append(Token(secret, given))
    return tokens


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def guard(app: Flask, settings: ApiSettings) -> None:
    """Ask each request for a token with the scope that it needs.

    Without tokens in the settings everybody may do everything on the loopback address, and beyond it nobody anything
    but ask whether the process lives.

    Raises:
        SettingsError: if the tokens cannot be read.
    """
    tokens = tokens_of(settings)
    if not tokens and is_loopback(settings.host):
        return

    @app.before_request
    def check() -> None:
        if request.endpoint == OPEN:
            return
        bearer = _bearer()
        token = next((each for each in tokens if bearer and hmac.compare_digest(each.secret, bearer)), None)
        if token is None:
            raise RequestError("give a token: Authorization: Bearer TOKEN, with a token of the setting api.tokens", 401)
        needed = NEEDED.get(request.endpoint or "", ADMIN)
        if needed not in token.scopes and ADMIN not in token.scopes:
            raise RequestError(f"this token may not do that; it needs the scope {needed}", 403)


def _bearer() -> str | None:
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    # Header values are latin-1; compare_digest takes ASCII text only.
    return secret.strip() if kind.lower() == "bearer" and secret.isascii() else None
