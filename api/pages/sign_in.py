"""Signing in: a page asks for a token once, and the browser keeps it in a cookie that scripts cannot read."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as Answer

from api.security.tokens import COOKIE, READ, Token, may, token_of

FORM_BYTES = 4096
"""Largest form: splitting one of the size of a request's body would take long."""

PAGES = ("live", "drift", "quality", "stream")


def add_sign_in(pages: Blueprint, tokens: Sequence[Token]) -> None:
    """The form and what it sends."""

    @pages.get("/sign-in")
    def sign_in() -> Answer:
        return _form(None, 200) if tokens else redirect(url_for("pages.live"))

    @pages.post("/sign-in")
    def enter() -> Answer:
        request.max_content_length = FORM_BYTES
        given = request.form.get("token", "").strip()
        token = token_of(tokens, given)
        if token is None:
            return _form("Unknown token. Use one from the setting api.tokens.", 401)
        if not may(token.scopes, READ):
            return _form("The token lacks the scope read.", 403)
        answer = redirect(url_for(f"pages.{_wanted()}"), 303)
        answer.set_cookie(COOKIE, given, httponly=True, samesite="Strict", secure=request.is_secure)
        return answer

    @pages.post("/sign-out")
    def leave() -> Answer:
        answer = redirect(url_for("pages.sign_in"), 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="Strict", secure=request.is_secure)
        return answer


def _wanted() -> str:
    page = request.args.get("page", "")
    return page if page in PAGES else PAGES[0]


def _form(error: str | None, status: int) -> Response:
    return make_response(render_template("sign_in.html", error=error, page=_wanted()), status)
