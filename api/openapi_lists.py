"""The part of the OpenAPI document on lists that follow from no user, and on batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, TypeAdapter

from api.batches import MAX_REQUESTS
from api.data_set import DataSetApi
from api.data_set_requests import LISTED, id_type
from api.item_lists import RESERVED
from features.attributes import Attribute
from features.schema import Schema
from scoring.restriction import restrictable
from settings import ApiSettings

Operation = Callable[[str, type[BaseModel] | None, dict[int, type[BaseModel]], list[int]], dict[str, Any]]
"""Makes an operation of its summary, the model of its body, its answers by status, and the statuses of refusals."""


def list_paths(api: ApiSettings, data_set: DataSetApi, operation: Operation) -> dict[str, dict[str, Any]]:
    """The operations by path and method.

    Args:
        api: the limits.
        data_set: the data set.
        operation: makes an operation.
    """
    answers, query = data_set.answers, _query(api, data_set.schema)
    schema = TypeAdapter(id_type(data_set.schema.item_ids)).json_schema()
    itemid = {"name": "itemid", "in": "path", "required": True, "schema": schema}
    found: dict[str, dict[str, Any]] = {}
    for path, summary, refusals, parameters in (
        ("/items/{itemid}/similar", "List the items that are most similar to one", [404, 503], [itemid, *query]),
        ("/items/popular", "List the most popular items", [503], query),
        ("/items/latest", "List the items whose first event is the latest", [503], query),
    ):
        made = operation(summary, None, {200: answers.item_list}, refusals)
        found[path] = {"get": {**made, "parameters": parameters}}
    return {**found, "/ml/rec/batch": {"post": _batch(data_set, operation)}}


def _batch(data_set: DataSetApi, operation: Operation) -> dict[str, Any]:
    requests, answers = data_set.requests, data_set.answers
    made = operation(
        "Recommend lists for several requests at once",
        requests.recommendation,
        {200: answers.recommendation},
        [413, 503],
    )
    for content in (made["requestBody"]["content"], made["responses"]["200"]["content"]):
        content["application/json"]["schema"] = {
            "type": "array",
            "items": content["application/json"]["schema"],
            "minItems": 1,
            "maxItems": MAX_REQUESTS,
        }
    made["responses"]["200"]["description"] = "The answer to each request, in order."
    return made


def _query(api: ApiSettings, schema: Schema) -> list[dict[str, Any]]:
    """The parameters of a list: its size, a filter, and each attribute by which lists can be restricted."""
    size = {"type": "integer", "minimum": 1, "maximum": api.max_size, "default": 10}
    wanted = {"application/json": {"schema": {"$ref": "#/components/schemas/Filter"}}}
    attributes = [attribute for attribute in restrictable(schema) if attribute.name not in RESERVED]
    return [
        {"name": "size", "in": "query", "description": "items in the list", "schema": size},
        {"name": "filter", "in": "query", "description": "as in POST /ml/rec, as JSON", "content": wanted},
        *map(_parameter, attributes),
    ]


def _parameter(attribute: Attribute) -> dict[str, Any]:
    described: dict[str, Any]
    if not attribute.values:
        described = {"description": "only items with this number", "schema": {"type": "number"}}
    else:
        value = {"type": "string"} | ({"enum": list(attribute.values)} if len(attribute.values) <= LISTED else {})
        described = {
            "description": "only items with at least one of these values",
            "schema": {"type": "array", "items": value, "minItems": 1},
        }
    return {"name": attribute.name, "in": "query", **described}
