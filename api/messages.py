"""Bodies of requests: fields, limits and the errors that name them.

Those that depend on the data set are made from its schema (`api.data_set_requests`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from features.dataset.part import MAX_SECONDS
from features.ids import Id

Timestamp = Annotated[int, Field(strict=True, ge=0, le=MAX_SECONDS)]
Number = Annotated[int, Field(strict=True)] | Annotated[float, Field(strict=True, allow_inf_nan=False)]


class RequestError(ValueError):
    """A request that is refused; the message names the field and the rule. `status` is the HTTP status."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Body(BaseModel):
    """A body, or a part of one.

    Attributes:
        parts: the models of the objects inside, by field; a list has one for each entry.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    parts: ClassVar[Mapping[str, type[Body]]] = {}

    @classmethod
    def field_names(cls) -> set[str]:
        """The names of the fields as a body has them."""
        return {field.alias or name for name, field in cls.model_fields.items()}


class Position(Body):
    """A position in the log as answered by `POST /events`; `ts` is optional and has no effect."""

    partition: int = Field(strict=True, ge=0)
    offset: int = Field(strict=True, ge=0)
    ts: Timestamp | None = None


ONE, SEVERAL = "(one)", "(several)"
"""Tags of the two forms of `after`, which errors leave out."""

Positions = Annotated[
    Annotated[Position, Tag(ONE)] | Annotated[list[Position], Field(min_length=1, fail_fast=True), Tag(SEVERAL)],
    Discriminator(lambda given: SEVERAL if isinstance(given, list) else ONE),
]
"""A position, or those of a change of an item, which is in every partition."""


class Diversity(Body):
    """At most so many items of the list with each value of an attribute.

    Attributes:
        attribute: its name.
        most: items.
    """

    attribute: str = Field(strict=True, min_length=1, max_length=64)
    most: int = Field(strict=True, ge=1)


class EventFields(Body):
    """The fields that say what an event is; those of the types that have values are made from the schema.

    Attributes:
        event: its type.
        value: its value, for a type that has values.
        ts: unix seconds.
    """

    event: str | None = None
    value: Number | None = None
    ts: Timestamp | None = None


class Watched(EventFields):
    """An event of a session: item, type or value, and time (unix seconds)."""

    itemid: Id


class RecommendationRequest(Body):
    """`POST /ml/rec`.

    Attributes:
        userid: the user to recommend to.
        history: recommend for this session instead, oldest event first, without a stored user.
        context: further events of the user, oldest first, that count for this list alone and are not stored.
        size: items in the list.
        exclude: items that must not be in the list.
        filter: only items with these values, by attribute.
        diversity: at most so many items with each value of an attribute.
        explain: say for each item where it came from and what it was ranked by.
        after: answer from a state that holds this position at least; of several, the one in the user's partition.
    """

    parts: ClassVar[Mapping[str, type[Body]]] = {"diversity": Diversity, "after": Position}

    userid: Id | None = None
    # Validation ends at the first entry that breaks a rule: an error for each would cost more than an answer.
    history: Annotated[list[Watched], Field(fail_fast=True)] | None = None
    context: Annotated[list[Watched], Field(fail_fast=True)] | None = None
    size: int = Field(50, strict=True, ge=1)
    exclude: Annotated[list[Id], Field(fail_fast=True)] = Field(default_factory=list)
    filter: Body | None = None
    diversity: Diversity | None = None
    explain: bool = Field(False, strict=True)
    after: Positions | None = None

    def awaited(self, partition: int) -> Position | None:
        """The position in `after` that is in a partition."""
        given = self.after if isinstance(self.after, list) else [] if self.after is None else [self.after]
        return next((position for position in given if position.partition == partition), None)


class ItemListRequest(Body):
    """The query of `GET /items/<itemid>/similar`, `GET /items/popular` and `GET /items/latest`.

    Attributes:
        size: items in the list.
        filter: only items with these values, by attribute.
    """

    size: int = Field(10, strict=True, ge=1)
    filter: Body | None = None


class AcknowledgeRequest(Body):
    """`POST /drift/acknowledge`.

    Attributes:
        alarm: a series with an open alarm, or the cause of its alarms, as `GET /drift/alarms` names it.
        note: what is known of it.
    """

    alarm: str = Field(strict=True, min_length=1, max_length=200)
    note: str = Field(strict=True, min_length=1, max_length=1000)


T = TypeVar("T", bound=Body)

SHOWN = 100
"""Characters of an unknown field that a refusal repeats."""

NOT_AN_OBJECT = "the body must be a JSON object"


def parse(model: type[T], body: object, max_entries: int = 0, where: tuple[str | int, ...] = ()) -> T:
    """The body as the model.

    The number of fields and entries is looked at first, so that refusing a body costs no more than accepting one.

    Args:
        model: the model.
        body: what the JSON says.
        max_entries: most entries of a list; 0 where the model has none.
        where: the place of the body in a list of them.

    Raises:
        RequestError: naming the first field that breaks a rule, and the rule.
    """
    if not isinstance(body, dict):
        raise RequestError(f"{joined(where)}: must be a JSON object" if where else NOT_AN_OBJECT)
    _check_fields(model, body, where, max_entries)
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        rule = first["msg"][0].lower() + first["msg"][1:]
        place = [part for part in first["loc"] if part not in (ONE, SEVERAL)]
        raise RequestError(f"{joined((*where, *place))}: {rule}") from None


def _check_fields(model: type[Body], given: dict[str, Any], where: tuple[str | int, ...], max_entries: int) -> None:
    """Refuse the first field that the model, or a model inside, does not have, and a list that is too long.

    Raises:
        RequestError: naming it.
    """
    known = model.field_names()
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        # A name may be empty.
        raise RequestError(f"{joined((*where, unknown[:SHOWN] or repr(unknown)))}: extra inputs are not permitted")
    for name, value in given.items():
        if isinstance(value, list) and max_entries and len(value) > max_entries:
            raise RequestError(f"{joined((*where, name))}: at most {max_entries} entries")
        part = model.parts.get(name)
        if part is None:
            continue
        if isinstance(value, dict):
            _check_fields(part, value, (*where, name), max_entries)
        elif isinstance(value, list):
            for place, entry in enumerate(value):
                if isinstance(entry, dict):
                    _check_fields(part, entry, (*where, name, place), max_entries)


def joined(where: Iterable[str | int]) -> str:
    """A place in a body as text: `history.0.itemid`."""
    return ".".join(str(part) for part in where)
