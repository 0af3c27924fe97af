"""The OpenAPI document, made from the models of requests and answers and the limits in the settings."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.answers import (
    Accepted,
    Acknowledged,
    ErasureAccepted,
    Lives,
    OpenCauses,
    Readiness,
    Recommendation,
    Refusal,
    UserExport,
    UserState,
)
from api.messages import AcknowledgeRequest, RatingRequest, RecommendationRequest
from features.event import MAX_ID
from settings import ApiSettings

REFUSALS = {
    400: "The request breaks a rule; the error names the field and the rule.",
    401: "No token, or an unknown one.",
    403: "The host, or the site of the page that sent this, is not in `api.hosts`; or the token lacks the scope.",
    404: "It is not known.",
    413: "The body is larger than `api.max_body_kb`, or, for a rating, than 4 KiB.",
    431: "The request head is larger than 32 KiB or has more than 100 headers.",
    503: "A store that is needed does not answer, or there are too many requests; try again.",
}

NOT_NULL = {"not": {"type": "null"}}


def document(api: ApiSettings, guarded: bool) -> dict[str, Any]:
    """The document.

    Args:
        api: the limits.
        guarded: whether requests need a token.
    """
    paths = _paths()
    operations = [(path, operation) for path, methods in paths.items() for operation in methods.values()]
    for _, operation in operations:
        operation["responses"] |= {str(status): _refusal(status) for status in (403, 431)}
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "reelstream",
            "version": "1",
            "description": "Recommendations that reflect the events of a moment ago.",
        },
        "paths": paths,
        "components": {"schemas": _schemas(api)},
    }
    if guarded:
        described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, operation in operations:
            if path != "/health/live":
                operation["security"] = [{"token": []}]
                operation["responses"]["401"] = _refusal(401)
    return described


def _paths() -> dict[str, dict[str, Any]]:
    """The operations by path and method."""
    return {
        "/ml/rec": {
            "post": _operation(
                "Recommend a list for a user or for a session of events",
                RecommendationRequest,
                {200: Recommendation},
                [413, 503],
            )
        },
        "/ratings": {
            "post": _operation("Append a rating to the log", RatingRequest, {202: Accepted}, [413, 503]),
        },
        "/users/{userid}": {
            "get": _operation("Return what is known of a user", None, {200: UserState}, [404, 503], path_id="userid"),
            "delete": _operation(
                "Append the erasure of a user to the log", None, {202: ErasureAccepted}, [404, 503], path_id="userid"
            ),
        },
        "/users/{userid}/export": {
            "get": _operation(
                "Return all that is stored about a user", None, {200: UserExport}, [404, 503], path_id="userid"
            )
        },
        "/drift/alarms": {"get": _operation("List the open drift alarms by cause", None, {200: OpenCauses}, [503])},
        "/drift/acknowledge": {
            "post": _operation(
                "Acknowledge the alarms of a cause with a note",
                AcknowledgeRequest,
                {200: Acknowledged},
                [404, 413, 503],
            )
        },
        "/health/live": {"get": _operation("Check that the process answers", None, {200: Lives}, [], checked=False)},
        "/health/ready": {
            "get": _operation(
                "Check that every store answers", None, {200: Readiness, 503: Readiness}, [], checked=False
            )
        },
        "/metrics": {"get": _text("Metrics in the Prometheus text format")},
    }


def _schemas(api: ApiSettings) -> dict[str, Any]:
    requests = (AcknowledgeRequest, RecommendationRequest, RatingRequest)
    answers = (
        *(Accepted, Acknowledged, ErasureAccepted, Lives, OpenCauses, Readiness, Recommendation, Refusal, UserExport),
        UserState,
    )
    _, made = models_json_schema(
        [(each, "validation") for each in requests] + [(each, "serialization") for each in answers],
        ref_template="#/components/schemas/{model}",
    )
    schemas: dict[str, Any] = made["$defs"]
    wanted = schemas[RecommendationRequest.__name__]
    fields = wanted["properties"]
    fields["size"]["maximum"] = api.max_size
    fields["exclude"]["maxItems"] = api.max_history
    fields["history"]["anyOf"][0]["maxItems"] = api.max_history
    # One of the two, and `after` is a position of a stored user.
    wanted["oneOf"] = [{"required": [name], "properties": {name: NOT_NULL}} for name in ("userid", "history")]
    return schemas


def _operation(
    summary: str,
    body: type[BaseModel] | None,
    answers: dict[int, type[BaseModel]],
    refusals: list[int],
    *,
    path_id: str = "",
    checked: bool = True,
) -> dict[str, Any]:
    responses = {
        str(status): {"description": (model.__doc__ or "").split("\n")[0], "content": _json(model)}
        for status, model in answers.items()
    }
    responses |= {str(status): _refusal(status) for status in [400, *refusals] if checked}
    told: dict[str, Any] = {"summary": summary, "responses": responses}
    if body is not None:
        told["requestBody"] = {"required": True, "content": _json(body)}
    if path_id:
        schema = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
        told["parameters"] = [{"name": path_id, "in": "path", "required": True, "schema": schema}]
    return told


def _text(summary: str) -> dict[str, Any]:
    content = {"text/plain": {"schema": {"type": "string"}}}
    return {"summary": summary, "responses": {"200": {"description": summary, "content": content}}}


def _refusal(status: int) -> dict[str, Any]:
    told: dict[str, Any] = {"description": REFUSALS[status], "content": _json(Refusal)}
    if status == 503:
        schema = {"type": "integer", "minimum": 1}
        told["headers"] = {"Retry-After": {"description": "seconds", "required": True, "schema": schema}}
    return told


def _json(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}
