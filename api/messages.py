"""Bodies of requests: fields, limits and the errors that name them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features.event import MAX_ID, MAX_TS

Id = Annotated[int, Field(strict=True, ge=1, le=MAX_ID)]
Rating = Annotated[int, Field(strict=True, ge=1, le=5)]
Timestamp = Annotated[int, Field(strict=True, ge=0, le=MAX_TS)]


class RequestError(ValueError):
    """A request that is refused; the message names the field and the rule. `status` is the HTTP status."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Position(Body):
    """A position in the log as answered by `POST /ratings`; `ts` is optional and has no effect."""

    partition: int = Field(strict=True, ge=0)
    offset: int = Field(strict=True, ge=0)
    ts: Timestamp | None = None


class Watched(Body):
    """An event of a session: item, rating and time (unix seconds)."""

    itemid: Id
    rating: Rating = 5
    ts: Timestamp | None = None


class RecommendationRequest(Body):
    """`POST /ml/rec`.

    Attributes:
        userid: whom to recommend to.
        history: recommend for this session instead, oldest event first, without a stored user.
        size: items in the list.
        exclude: items that must not be in the list.
        explain: say for each item where it came from and what it was ranked by.
        after: answer from a state that holds this position at least.
    """

    userid: Id | None = None
    # Validation ends at the first entry that breaks a rule: an error for each would cost more than an answer.
    history: Annotated[list[Watched], Field(fail_fast=True)] | None = None
    size: int = Field(50, strict=True, ge=1)
    exclude: Annotated[list[Id], Field(fail_fast=True)] = Field(default_factory=list)
    explain: bool = Field(False, strict=True)
    after: Position | None = None


class RatingRequest(Body):
    """`POST /ratings`; `ts` defaults to the current time."""

    userid: Id
    itemid: Id
    rating: Rating
    ts: Timestamp | None = None


T = TypeVar("T", bound=BaseModel)


class AcknowledgeRequest(Body):
    """`POST /drift/acknowledge`.

    Attributes:
        alarm: a series with an open alarm, or the cause of its alarms, as `GET /drift/alarms` names it.
        note: what is known of it.
    """

    alarm: str = Field(strict=True, min_length=1, max_length=200)
    note: str = Field(strict=True, min_length=1, max_length=1000)


NESTED: dict[str, type[BaseModel]] = {"history": Watched, "after": Position}
"""Models inside a request, by field."""

SHOWN = 100
"""Characters of an unknown field that a refusal repeats."""


def parse(model: type[T], body: object, max_entries: int = 0) -> T:
    """The body as the model.

    The number of fields and entries is looked at first, so that refusing a body costs no more than accepting one.

    Args:
        model: the model.
        body: what the JSON says.
        max_entries: most entries of a list; 0 where the model has none.

    Raises:
        RequestError: naming the first field that breaks a rule, and the rule.
    """
    if not isinstance(body, dict):
        raise RequestError("the body must be a JSON object")
    _check_fields(model, body, ())
    for name, value in body.items():
        entries = value if isinstance(value, list) else [value]
        if max_entries and len(entries) > max_entries:
            raise RequestError(f"{name}: at most {max_entries} entries")
        if name in NESTED:
            for place, entry in enumerate(entries):
                if isinstance(entry, dict):
                    _check_fields(NESTED[name], entry, (name, place) if entries is value else (name,))
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        rule = first["msg"][0].lower() + first["msg"][1:]
        raise RequestError(f"{_joined(first['loc'])}: {rule}") from None


def _check_fields(model: type[BaseModel], given: dict[str, Any], where: tuple[str | int, ...]) -> None:
    """Refuse the first field that the model does not have.

    Raises:
        RequestError: naming it.
    """
    unknown = next((name for name in given if name not in model.model_fields), None)
    if unknown is not None:
        # A name may be empty.
        raise RequestError(f"{_joined((*where, unknown[:SHOWN] or repr(unknown)))}: extra inputs are not permitted")


def _joined(where: Iterable[str | int]) -> str:
    return ".".join(str(part) for part in where)
