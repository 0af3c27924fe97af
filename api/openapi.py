"""The OpenAPI document, made from the models of requests and answers, those of the data set and the limits in the
settings."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from api.answers import (
    Accepted,
    AcceptedEvents,
    Acknowledged,
    ErasureAccepted,
    Lives,
    OpenCauses,
    Readiness,
    Refusal,
)
from api.change_requests import VERSION, Version
from api.data_set import DataSetApi
from api.data_set_requests import MAX_EVENTS, id_type
from api.messages import AcknowledgeRequest
from api.openapi_lists import list_paths
from api.security.tokens import is_guarded
from features import IdKind
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


class Description:
    """The document for the data set that is live; made again only where that changes."""

    def __init__(self, api: ApiSettings) -> None:
        self._api, self._guarded = api, is_guarded(api)
        self._made: tuple[DataSetApi, dict[str, Any]] | None = None

    def of(self, data_set: DataSetApi) -> dict[str, Any]:
        """The document for a data set."""
        made = self._made
        if made is None or made[0] is not data_set:
            made = self._made = data_set, document(self._api, data_set, self._guarded)
        return made[1]


def document(api: ApiSettings, data_set: DataSetApi, guarded: bool) -> dict[str, Any]:
    """The document.

    Args:
        api: the limits.
        data_set: the data set.
        guarded: whether requests need a token.
    """
    paths = _paths(data_set) | list_paths(api, data_set, _operation)
    operations = [(path, operation) for path, methods in paths.items() for operation in methods.values()]
    for _, operation in operations:
        operation["responses"] |= {str(status): _refusal(status) for status in (403, 431)}
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "reelstream",
            "version": "1",
            "description": (
                "Recommendations that reflect the events of a moment ago. Names and values of attributes and events "
                f"are those of the data set {data_set.schema.dataset.name}."
            ),
        },
        "paths": paths,
        "components": {"schemas": _schemas(api, data_set)},
    }
    if guarded:
        described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, operation in operations:
            if path != "/health/live":
                operation["security"] = [{"token": []}]
                operation["responses"]["401"] = _refusal(401)
    return described


def _paths(data_set: DataSetApi) -> dict[str, dict[str, Any]]:
    """The operations by path and method."""
    requests, answers = data_set.requests, data_set.answers
    user, item = _id_in_path("userid", data_set.schema.user_ids), _id_in_path("itemid", data_set.schema.item_ids)
    rating = {}
    if requests.rating is not None:
        appending = _operation("Append a rating to the log", requests.rating, {202: Accepted}, [413, 503])
        rating = {"/ratings": {"post": appending}}
    return {
        "/ml/rec": {
            "post": _operation(
                "Recommend a list for a user or for a session of events",
                requests.recommendation,
                {200: answers.recommendation},
                [413, 503],
            )
        },
        "/events": {"post": _events(requests.event)},
        **rating,
        "/items/{itemid}": {
            "get": _operation(
                "Return an item with its attributes and counters", None, {200: answers.item}, [404, 503], in_path=item
            ),
            "put": _operation(
                "Append an item, new or changed, to every partition of the log",
                data_set.changes.item,
                {202: answers.item_changed},
                [404, 413, 503],
                in_path=item,
            ),
            "delete": _withdrawal(answers.item_changed, item),
        },
        "/users/{userid}": {
            "get": _operation("Return what is known of a user", None, {200: answers.user}, [404, 503], in_path=user),
            "put": _operation(
                "Append the attributes of a user to the log",
                data_set.changes.user,
                {202: answers.user_changed},
                [404, 413, 503],
                in_path=user,
            ),
            "delete": _operation(
                "Append the erasure of a user to the log", None, {202: ErasureAccepted}, [404, 503], in_path=user
            ),
        },
        "/users/{userid}/export": {
            "get": _operation(
                "Return all that is stored about a user", None, {200: answers.export}, [404, 503], in_path=user
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


def _schemas(api: ApiSettings, data_set: DataSetApi) -> dict[str, Any]:
    requests, answers = data_set.requests, data_set.answers
    changes = data_set.changes.item, data_set.changes.user
    bodies: list[type[BaseModel]] = [AcknowledgeRequest, requests.recommendation, requests.event, *changes]
    if requests.rating is not None:
        bodies.append(requests.rating)
    sent: list[type[BaseModel]] = [
        *(Accepted, AcceptedEvents, Acknowledged, ErasureAccepted, Lives, OpenCauses, Readiness, Refusal),
        *(answers.recommendation, answers.item_list, answers.item, answers.user, answers.export),
        *(answers.item_changed, answers.user_changed),
    ]
    _, made = models_json_schema(
        [(each, "validation") for each in bodies] + [(each, "serialization") for each in sent],
        ref_template="#/components/schemas/{model}",
    )
    schemas: dict[str, Any] = made["$defs"]
    wanted = schemas[requests.recommendation.__name__]
    fields = wanted["properties"]
    fields["size"]["maximum"] = api.max_size
    fields["exclude"]["maxItems"] = api.max_history
    for name in ("history", "context"):
        fields[name]["anyOf"][0]["maxItems"] = api.max_history
    # One of the two, and `after` is a position of a stored user.
    wanted["oneOf"] = [{"required": [name], "properties": {name: NOT_NULL}} for name in ("userid", "history")]
    return schemas


def _events(event: type[BaseModel]) -> dict[str, Any]:
    """The operation that takes one event, or a list."""
    made = _operation(
        "Append events to the log: all of them, or none if one is refused; those of items that nobody knows yet wait",
        event,
        {202: Accepted},
        [413, 503],
    )
    one = _json(event)["application/json"]["schema"]
    listed = {"type": "array", "items": one, "minItems": 1, "maxItems": MAX_EVENTS}
    made["requestBody"]["content"]["application/json"]["schema"] = {"anyOf": [one, listed]}
    position, positions = (_json(model)["application/json"]["schema"] for model in (Accepted, AcceptedEvents))
    made["responses"]["202"]["content"]["application/json"]["schema"] = {"anyOf": [position, positions]}
    made["responses"]["202"]["description"] = "The position of the event, or of each of the list, in order."
    return made


def _withdrawal(answer: type[BaseModel], item: dict[str, Any]) -> dict[str, Any]:
    """The operation that withdraws an item."""
    made = _operation(
        "Append the withdrawal of an item to every partition of the log", None, {202: answer}, [404, 503], in_path=item
    )
    about = "of the change, of which the highest counts; the API's clock in microseconds if there is none"
    schema = TypeAdapter(Version).json_schema()
    made["parameters"].append({"name": VERSION, "in": "query", "description": about, "schema": schema})
    return made


def _id_in_path(name: str, kind: IdKind) -> dict[str, Any]:
    schema = TypeAdapter(id_type(kind)).json_schema()
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _operation(
    summary: str,
    body: type[BaseModel] | None,
    answers: dict[int, type[BaseModel]],
    refusals: list[int],
    *,
    in_path: dict[str, Any] | None = None,
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
    if in_path is not None:
        told["parameters"] = [in_path]
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
