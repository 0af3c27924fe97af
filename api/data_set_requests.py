"""The bodies of requests that depend on the data set, made from its schema: ids, events and filters.

Fields that are named by the data set have other names inside the models, and these as aliases, so that no name of an
attribute or a type of events can be one that pydantic needs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, Field, create_model
from pydantic_core import PydanticCustomError

from api.messages import (
    NOT_AN_OBJECT,
    Body,
    EventFields,
    ItemListRequest,
    RecommendationRequest,
    RequestError,
    Timestamp,
    Watched,
    joined,
    parse,
)
from features.attributes import Attribute
from features.dataset.codes import Codes
from features.dataset.part import MAX_ID, MAX_ID_LENGTH
from features.errors import EventError
from features.event import Event
from features.ids import Id, IdKind
from features.schema import Schema

RATING = "rating"
"""The type of the events that `POST /ratings` takes."""

MAX_EVENTS = 1000
"""Most events of a request."""

LISTED = 100
"""Most values of an attribute that the OpenAPI document lists."""

SOMEBODY: dict[IdKind, Id] = {IdKind.INTEGER: 1, IdKind.STRING: "1"}
"""A valid id of each kind."""

ID_PATTERN = r"^[^\x00-\x1f\x7f]+$"


class EventRequest(EventFields):
    """An event; `ts` defaults to the current time."""

    userid: Id
    itemid: Id


class DataSetRequests:
    """The bodies of requests of a data set.

    Args:
        schema: of the data set.

    Attributes:
        recommendation: of `POST /ml/rec`.
        item_list: of lists of items, from their queries.
        event: of `POST /events`, where a list of them may stand too.
        rating: of `POST /ratings`; None where the data set has no ratings with a value.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._valued = [name for name in schema.codes.types if schema.codes.has_value(name)]
        self._default = likeliest(schema.codes)
        user, item = id_type(schema.user_ids), id_type(schema.item_ids)
        wanted = filter_model(schema)
        self.recommendation = self._recommendation(user, item, wanted)
        self.item_list = _item_list(wanted)
        self.event = cast(Any, create_model)(
            "EventRequest",
            __base__=EventRequest,
            __doc__=EventRequest.__doc__,
            userid=(user, ...),
            itemid=(item, ...),
            **self._event_fields(),
        )
        named = [{"required": [name]} for name in ("event", *self._valued)]
        self.event.model_config["json_schema_extra"] = {"anyOf": named}
        self.rating: type[Body] | None = None
        if RATING in self._valued:
            self.rating = create_model(
                "RatingRequest",
                __base__=Body,
                __doc__="A rating; `ts` defaults to the current time.",
                userid=(user, ...),
                itemid=(item, ...),
                rating=(value_type(schema, RATING), ...),
                ts=(Timestamp | None, None),
            )

    def events_of(self, body: object, now: int) -> list[Event]:
        """The events of a body, which is one event or a list.

        Args:
            body: what the JSON says.
            now: the time of those that have none, in unix seconds.

        Raises:
            RequestError: if one breaks a rule; of a list it names the place, from 0.
        """
        if isinstance(body, dict):
            return [self.event_of(parse(self.event, body), now)]
        if not isinstance(body, list):
            raise RequestError(f"{NOT_AN_OBJECT} or a list of them")
        if not 1 <= len(body) <= MAX_EVENTS:
            raise RequestError(f"the list must have 1 to {MAX_EVENTS} events, and has {len(body)}")
        return [
            self.event_of(parse(self.event, entry, where=(place,)), now, (place,)) for place, entry in enumerate(body)
        ]

    def event_of(self, request: Body, now: int, where: tuple[str | int, ...] = ()) -> Event:
        """The event of a body.

        Args:
            request: an `event` or a `rating`.
            now: the time of an event that has none, in unix seconds.
            where: the place of the body in a list.

        Raises:
            RequestError: if type and value do not go together.
        """
        fields = {"ts": now, **request.model_dump(by_alias=True, exclude_none=True)}
        try:
            event = self._schema.events.parse(fields)
        except EventError as error:
            raise RequestError(f"{joined(where)}: {error}" if where else str(error)) from None
        return cast(Event, event)

    def watched(self, userid: Id, entry: Watched, ts: int, where: tuple[str | int, ...]) -> Event:
        """An event of a session; a positive one where it says neither type nor value.

        Args:
            userid: of the user of the session.
            entry: the event.
            ts: its time, in unix seconds.
            where: its place in the body.

        Raises:
            RequestError: if type and value do not go together.
        """
        said = entry.model_dump(by_alias=True, exclude_none=True, exclude={"itemid", "ts"})
        if not said:
            return Event(userid, entry.itemid, self._default, ts)
        try:
            event = self._schema.events.parse(
                {"userid": SOMEBODY[self._schema.user_ids], "itemid": entry.itemid, "ts": ts, **said}
            )
        except EventError as error:
            raise RequestError(f"{joined(where)}: {error}") from None
        return replace(cast(Event, event), userid=userid)

    def _event_fields(self) -> dict[str, Any]:
        """The fields that say the type and the value of an event: by the type's name, or spelt out."""
        fields: dict[str, Any] = {"event": (type_name(self._schema) | None, None)}
        for name in self._valued:
            value = value_type(self._schema, name) | None
            fields[f"named_{name}"] = (value, Field(None, alias=name, description=f"the value of a {name}"))
        return fields

    def _recommendation(self, user: Any, item: Any, wanted: Any) -> type[RecommendationRequest]:
        entry: Any = cast(Any, create_model)(
            "Watched",
            __base__=Watched,
            __doc__=(
                "An event of a session: item, type or value, and time (unix seconds). Without type and value it is "
                f"the event {self._schema.codes.name(self._default)}."
            ),
            itemid=(item, ...),
            **self._event_fields(),
        )
        entries: Any = Annotated[list[entry], Field(fail_fast=True)] | None
        made = create_model(
            "RecommendationRequest",
            __base__=RecommendationRequest,
            __doc__=RecommendationRequest.__doc__,
            userid=(user | None, None),
            history=(entries, None),
            context=(entries, None),
            exclude=(Annotated[list[item], Field(fail_fast=True)], Field(default_factory=list)),
            filter=(wanted | None, None),
        )
        made.parts = {**RecommendationRequest.parts, "history": entry, "context": entry, "filter": wanted}
        return made


def _item_list(wanted: Any) -> type[ItemListRequest]:
    made = create_model(
        "ItemListRequest", __base__=ItemListRequest, __doc__=ItemListRequest.__doc__, filter=(wanted | None, None)
    )
    made.parts = {"filter": wanted}
    return made


def likeliest(codes: Codes) -> int:
    """The code of the event that says most for its item: of positive ones the one that weighs most.

    >>> from features.dataset.feedback import Condition, Feedback, ValueRange
    >>> stars = ValueRange(minimum=1, maximum=5, whole=True)
    >>> likeliest(Codes({"rating": Feedback(value=stars, positive=Condition("value >= 4"))}))
    5
    """
    positive = [code for code, is_positive in enumerate(codes.positive) if is_positive]
    return max(positive, key=lambda code: (codes.target[code], codes.weights[code], codes.levels[code], code))


def id_type(kind: IdKind) -> Any:
    """The type of a field that holds an id."""
    if kind is IdKind.INTEGER:
        return Annotated[int, Field(strict=True, ge=1, le=MAX_ID)]

    def check(text: str) -> str:
        if not kind.valid(text):
            raise PydanticCustomError("id", "must be {rule}", {"rule": kind.rule})
        return text

    text = Field(strict=True, min_length=1, max_length=MAX_ID_LENGTH, json_schema_extra={"pattern": ID_PATTERN})
    return Annotated[str, text, AfterValidator(check)]


def type_name(schema: Schema) -> Any:
    """The type of a field that holds the name of a type of events."""
    return cast(Any, Literal)[schema.codes.types]


def value_type(schema: Schema, name: str) -> Any:
    """The type of a field that holds the value of an event, of a type that has values."""
    bounds = schema.dataset.feedback[name].value
    assert bounds is not None
    number = int if bounds.whole else float
    low = None if bounds.minimum is None else number(bounds.minimum)
    high = None if bounds.maximum is None else number(bounds.maximum)
    if bounds.whole:
        return Annotated[int, Field(strict=True, ge=low, le=high)]
    return Annotated[float, Field(strict=True, ge=low, le=high, allow_inf_nan=False)]


def filter_model(schema: Schema) -> type[Body]:
    """The model of `filter`: a condition for each attribute that can be asked for."""
    conditions = {attribute.name: condition_model(attribute) for attribute in schema.item_attributes}
    known = {name: condition for name, condition in conditions.items() if condition is not None}
    fields = {f"named_{name}": (model | None, Field(None, alias=name)) for name, model in known.items()}
    made: type[Body] = cast(Any, create_model)(
        "Filter", __base__=Body, __doc__="Only items that meet every condition, by attribute.", **fields
    )
    made.parts = known
    return made


def condition_model(attribute: Attribute) -> type[Body] | None:
    """The model of a condition on an attribute; None where there is none, as for texts."""
    fields: dict[str, Any] = {}
    if attribute.values:
        listed = {"enum": list(attribute.values)} if len(attribute.values) <= LISTED else {}
        longest = max(len(value) for value in attribute.values)
        value = Annotated[str, Field(strict=True, max_length=longest, json_schema_extra=listed)]
        values = Annotated[list[value], Field(min_length=1, fail_fast=True)]
        fields["any"] = (values | None, Field(None, description="items with at least one of these values"))
        fields["all"] = (values | None, Field(None, description="items with all of these values"))
    if attribute.kind == "number":
        number = Annotated[float, Field(strict=True, allow_inf_nan=False)] | None
        fields["min"] = (number, Field(None, description="the least value"))
        fields["max"] = (number, Field(None, description="the greatest value"))
    if not fields:
        return None
    made: type[Body] = create_model(
        f"Condition_{attribute.name}", __base__=Body, __doc__=f"A condition on {attribute.name}.", **fields
    )
    return made
