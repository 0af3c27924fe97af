"""Scopes of tokens, and the requests that each allows."""

from __future__ import annotations

import pytest
from flask import Flask, jsonify
from flask.testing import FlaskClient
from pydantic import SecretStr

from api.http import add_error_handlers
from api.security.tokens import guard
from settings import ApiSettings, SettingsError

TOKENS = "read:r1 read+write:w1 metrics:m1 admin:a1"
PATHS = {
    "recommend": "/ml/rec",
    "rate": "/ratings",
    "metrics": "/metrics",
    "ready": "/health/ready",
    "live": "/health/live",
}


def client(host: str, tokens: str) -> FlaskClient:
    app = Flask("test")
    add_error_handlers(app)
    guard(app, ApiSettings(host=host, tokens=SecretStr(tokens)))
    for endpoint, path in PATHS.items():
        app.add_url_rule(path, endpoint, lambda: jsonify({"status": "ok"}), methods=["GET", "POST"])
    return app.test_client()


def status(of: FlaskClient, endpoint: str, token: str | None = None) -> int:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return of.get(PATHS[endpoint], headers=headers).status_code


def test_beyond_the_loopback_address_nothing_but_liveness_answers_without_a_token() -> None:
    for tokens in ("", TOKENS):
        public = client("0.0.0.0", tokens)
        assert status(public, "live") == 200
        for endpoint in ("recommend", "rate", "metrics", "ready"):
            assert status(public, endpoint) == 401
        assert public.get("/nowhere").status_code == 401


def test_on_the_loopback_address_without_tokens_everything_is_open() -> None:
    for host in ("127.0.0.1", "::1", "localhost"):
        assert {status(client(host, ""), endpoint) for endpoint in PATHS} == {200}


@pytest.mark.parametrize(
    ("token", "allowed"),
    [
        ("r1", {"recommend", "ready", "live"}),
        ("w1", {"recommend", "ready", "live", "rate"}),
        ("m1", {"metrics", "live"}),
        ("a1", set(PATHS)),
        ("wrong", {"live"}),
        ("", {"live"}),
        ("\xe9", {"live"}),
    ],
)
def test_a_token_opens_what_its_scopes_say(token: str, allowed: set[str]) -> None:
    for host in ("127.0.0.1", "0.0.0.0"):
        guarded = client(host, TOKENS)
        assert {endpoint for endpoint in PATHS if status(guarded, endpoint, token) == 200} == allowed


def test_a_token_without_the_scope_is_told_which_it_needs() -> None:
    answer = client("0.0.0.0", TOKENS).get("/ratings", headers={"Authorization": "Bearer r1"})
    assert answer.status_code == 403
    assert answer.json == {"error": "the token lacks the scope write; use one that has it"}


@pytest.mark.parametrize("tokens", ["secret", "read:", "all:secret", "read+:secret"])
def test_tokens_that_cannot_be_read_are_told_without_showing_them(tokens: str) -> None:
    with pytest.raises(SettingsError, match="entry 1") as told:
        client("127.0.0.1", tokens)
    assert "secret" not in str(told.value)


def test_a_page_of_another_site_cannot_have_a_browser_send_anything() -> None:
    for host, tokens in (("127.0.0.1", ""), ("0.0.0.0", TOKENS)):
        app = client(host, tokens)
        app.set_cookie("reelstream_token", "w1")
        own, other = {"Origin": "http://localhost"}, {"Origin": "http://elsewhere.example"}
        assert app.post("/ratings", headers=own).status_code == 200
        assert app.post("/ratings", headers=other).status_code == 403
        assert app.post("/ratings", headers={"Origin": "null"}).status_code == 403


def test_a_cookie_counts_as_the_token_that_it_holds() -> None:
    app = client("0.0.0.0", TOKENS)
    app.set_cookie("reelstream_token", "r1")
    assert status(app, "recommend") == 200
    assert status(app, "rate") == 403
    assert status(app, "recommend", "wrong") == 401
