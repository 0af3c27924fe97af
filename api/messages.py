"""Bodies of requests: fields, limits and the errors that name them."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features.event import MAX_ID, MAX_TS

Id = Annotated[int, Field(strict=True, ge=1, le=MAX_ID)]
Rating = Annotated[int, Field(strict=True, ge=1, le=5)]
Timestamp = Annotated[int, Field(strict=True, ge=0, le=MAX_TS)]


class RequestError(ValueError):
    """A request that cannot be answered; the message names the field and the rule. `status` is the HTTP status."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Position(Body):
    """A position in the log, exactly as `POST /ratings` answers it; `ts` may be left out and changes nothing."""

    partition: int = Field(strict=True, ge=0)
    offset: int = Field(strict=True, ge=0)
    ts: Timestamp | None = None


class Watched(Body):
    """An event of a session: what was rated how, and when (unix seconds)."""

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
    history: list[Watched] | None = None
    size: int = Field(50, strict=True, ge=1)
    exclude: list[Id] = Field(default_factory=list)
    explain: bool = Field(False, strict=True)
    after: Position | None = None


class RatingRequest(Body):
    """`POST /ratings`; without `ts` the event happens now."""

    userid: Id
    itemid: Id
    rating: Rating
    ts: Timestamp | None = None


T = TypeVar("T", bound=BaseModel)


def parse(model: type[T], body: object) -> T:
    """The body as the model.

    Raises:
        RequestError: naming the first field that breaks a rule, and the rule.
    """
    if not isinstance(body, dict):
        raise RequestError("the body must be a JSON object")
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        rule = first["msg"][0].lower() + first["msg"][1:]
        raise RequestError(f"{where}: {rule}") from None
