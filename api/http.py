"""Bodies of requests and of answers, and the answers to what goes wrong."""

from __future__ import annotations

from flask import Flask, Response, request
from pydantic import BaseModel
from pydantic_core import from_json
from werkzeug.exceptions import HTTPException

from api.answers import Refusal
from api.messages import NOT_AN_OBJECT, RequestError
from api.shedding import Overloaded
from stores import StoreError

MAX_FIELDS = 16
"""More values than a request has outside of its lists."""

SOON = {"Retry-After": "1"}


def request_body(max_values: int = MAX_FIELDS, advice: str = "") -> object:
    """The request's body as JSON.

    Args:
        max_values: values, in lists and objects, that a good body may have; commas are counted before any is read.
        advice: the end of the sentence that refuses a body with more.

    Raises:
        RequestError: if it is not JSON, or has more values.
    """
    data = request.get_data(cache=False)
    if data.count(b",") >= max_values:
        raise RequestError(f"the body may have at most {max_values} values{advice}")
    try:
        return from_json(data)
    except ValueError:
        raise RequestError(NOT_AN_OBJECT) from None


def respond(answer: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer as JSON, its fields by the names that the data set has for them; those not given are left out."""
    return Response(
        answer.model_dump_json(by_alias=True, exclude_unset=True), status, headers, mimetype="application/json"
    )


def refuse(error: str, status: int, headers: dict[str, str] | None = None) -> Response:
    """The answer to a request that is refused."""
    return respond(Refusal(error=error), status, headers)


def add_error_handlers(app: Flask) -> None:
    """Have an application answer every error as a `Refusal`."""

    @app.errorhandler(RequestError)
    def broken_rule(error: RequestError) -> Response:
        return refuse(str(error), error.status, {"WWW-Authenticate": "Bearer"} if error.status == 401 else None)

    @app.errorhandler(Overloaded)
    def overloaded(_: Overloaded) -> Response:
        return refuse("too many requests at once; try again in a second", 503, SOON)

    @app.errorhandler(StoreError)
    def unreachable(error: StoreError) -> Response:
        return refuse(str(error), 503, SOON)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        return refuse(error.description or error.name, error.code or 500)

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        app.logger.exception("unexpected error")
        return refuse("an unexpected error; see the log of the API", 500)
