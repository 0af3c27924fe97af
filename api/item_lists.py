"""Lists of items that follow from no user: similar to an item, popular, latest; each with conditions."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Flask, Response, request
from pydantic_core import from_json
from werkzeug.datastructures import MultiDict

from api.answers import ItemList
from api.breakers import Breakers
from api.data_set import DataSetApi
from api.http import respond
from api.latest_items import first_events, latest
from api.messages import ItemListRequest, RequestError, parse
from api.recommend import Answer, listed_item
from api.restrictions import conditions_of
from api.services import Services
from api.shedding import Places
from features import Id
from scoring.fallback import alike, popular
from scoring.restriction import AnyOf, Between, Condition, Restriction, RestrictionError, restrictable
from settings import ApiSettings

Entries = Sequence[tuple[int, float]]
"""Columns of items with their scores, best first."""

RESERVED = ("size", "filter")
"""Parameters that are not attributes; an attribute of this name is asked for in `filter`."""


def add_item_lists(app: Flask, services: Services, places: Places) -> None:
    """Add the routes to an application; each list takes one of the places."""
    limits = services.settings.api
    breakers = Breakers(limits.breaker_failures, limits.breaker_pause_s)

    @app.get("/items/<id:itemid>/similar")
    def similar_items(itemid: str) -> Response:
        live = services.follower.require()
        known = live.data_set.itemid(itemid)
        if known not in live.items.items:
            raise RequestError(f"itemid: {known} is not in the catalogue", 404)
        size, restriction = query_of(live.data_set, request.args, limits)
        answer = Answer(live, breakers)
        with places.one():
            entries = similar(services, answer, known, size, restriction)
        return respond(item_list(services, answer, entries))

    @app.get("/items/popular")
    def popular_items() -> Response:
        live = services.follower.require()
        size, restriction = query_of(live.data_set, request.args, limits)
        with places.one():
            lists = popular([()], live.items.counters.popularity, live.items.table, size, [restriction])
        return respond(item_list(services, Answer(live, breakers), lists.entries(0)))

    @app.get("/items/latest")
    def latest_items() -> Response:
        live = services.follower.require()
        size, restriction = query_of(live.data_set, request.args, limits)
        answer = Answer(live, breakers)
        with places.one():
            entries = latest(
                live.items.table,
                live.items.counters,
                size,
                restriction,
                lambda itemids: answer.attempt("redis", lambda: first_events(live.profiles, itemids)),
            )
        return respond(item_list(services, answer, entries))


def similar(services: Services, answer: Answer, itemid: Id, size: int, restriction: Restriction) -> Entries:
    """The items whose vectors are nearest to that of an item; without Elasticsearch those of the same terms."""
    live, recall = answer.live, services.settings.recall
    table = live.items.table
    found = answer.attempt(
        "elasticsearch",
        lambda: services.index.similar(live.run.index, live.schema, itemid, size, recall, restriction.conditions),
    )
    if not found:
        return alike(itemid, live.items.counters, table, size, restriction).entries(0)
    column, known = table.find([each for each, _ in found])
    scores = [score for _, score in found]
    return [pair for pair, is_known in zip(zip(column.tolist(), scores, strict=True), known, strict=True) if is_known]


def item_list(services: Services, answer: Answer, entries: Entries) -> ItemList:
    """The answer with some items."""
    services.note_answer(answer)
    live = answer.live
    answers, ordered = live.data_set.answers, live.items.ordered
    return answers.item_list(
        item_list=[listed_item(answers, ordered[column], score, None) for column, score in entries],
        run=live.run.run,
        degraded=answer.degraded,
    )


def query_of(data_set: DataSetApi, given: MultiDict[str, str], limits: ApiSettings) -> tuple[int, Restriction]:
    """(size, restriction) of the query of a list.

    `size` and `filter` are as in `POST /ml/rec`, the filter as JSON. Every other parameter is an attribute; an item has
    at least one of the values that are given for it.

    Raises:
        RequestError: if it breaks a rule; names the parameter and the rule.
    """
    fields: dict[str, object] = {}
    for name in RESERVED:
        if len(values := given.getlist(name)) > 1:
            raise RequestError(f"{name}: must be given once")
        if values:
            fields[name] = _read(name, values[0])
    wanted: ItemListRequest = parse(data_set.requests.item_list, fields, limits.max_history)
    if wanted.size > limits.max_size:
        raise RequestError(f"size: input should be less than or equal to {limits.max_size}")
    conditions = list(conditions_of(wanted.filter))
    attributes = {attribute.name: attribute for attribute in restrictable(data_set.schema)}
    for name, values in given.lists():
        if name not in RESERVED:
            attribute = attributes.get(name)
            is_number = attribute is not None and not attribute.values
            conditions += _numbers(name, values) if is_number else [AnyOf(name, tuple(dict.fromkeys(values)))]
    try:
        return wanted.size, Restriction.of(data_set.schema, conditions)
    except RestrictionError as error:
        raise RequestError(f"filter: {error}") from None


def _read(name: str, text: str) -> object:
    """The value of a parameter, which is JSON."""
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        raise RequestError(f"{name}: must be JSON") from None


def _numbers(name: str, values: Sequence[str]) -> list[Condition]:
    """The condition that a number without buckets is equal to the one that is given."""
    if len(values) > 1:
        raise RequestError(f"{name}: must be given once; a range is for `filter`")
    try:
        number = float(values[0])
    except ValueError:
        raise RequestError(f"{name}: must be a number") from None
    return [Between(name, number, number)]
