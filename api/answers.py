"""The answers of the API as pydantic models: what is sent, and what the OpenAPI document is generated from."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from scoring import Fallback, Source

Store = Literal["redis", "elasticsearch", "triton", "feast", "stream"]
Check = Literal["published", "redis", "elasticsearch", "triton", "log"]


class AnswerModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AsOf(AnswerModel):
    """The last event of the user's partition that is known, and the time of the user's own last event."""

    partition: int = Field(ge=0)
    offset: int = Field(ge=-1, description="-1 before the first event")
    ts: int = Field(ge=0, description="unix seconds; 0 without events")


class Explanation(AnswerModel):
    """The sources of an item, and what it was ranked by."""

    sources: dict[Source, float] = Field(description="score from each source")
    next: float | None = Field(
        None, description="log-odds, up to a constant, that the item is the next one; absent without Triton"
    )
    like: float | None = Field(
        None, ge=0, le=1, description="probability of a like after watching; absent without Triton"
    )
    features: dict[str, float] = Field(description="the ranker's dense features by name")


class ListedItem(AnswerModel):
    """An item of a list."""

    itemid: int
    score: float = Field(description="the list is ordered by it, highest first")
    title: str
    year: int
    genres: list[str]
    explain: Explanation | None = Field(None, description="present if the request has `explain`")


class Recommendation(AnswerModel):
    """A list, best first."""

    item_list: list[ListedItem]
    run: str = Field(description="the model version")
    as_of: AsOf | None = Field(description="null if the user is not stored")
    degraded: list[Store] = Field(description="stores that did not answer; the list is the next best one without them")
    fallback: Fallback | None = Field(description="the reason if the list is not made from the user's own events")


class Accepted(AnswerModel):
    """The position of the event in the log; all replicas hold it."""

    partition: int = Field(ge=0)
    offset: int = Field(ge=0)
    ts: int = Field(ge=0, description="the event's time, unix seconds")


class ErasureAccepted(AnswerModel):
    """The position of the erasure in the log; all replicas hold it. From there on the user is unknown."""

    partition: int = Field(ge=0)
    offset: int = Field(ge=0)


class Tally(AnswerModel):
    """Items rated and liked."""

    n: int
    likes: int


class Terms(AnswerModel):
    """Preferences, above 0 and up to 1."""

    genres: dict[str, float]
    decades: dict[str, float]


class RecentRating(AnswerModel):
    """A rating that the profile keeps in full."""

    itemid: int
    title: str
    rating: int = Field(ge=1, le=5)
    ts: int = Field(ge=0, description="unix seconds")


class UserState(AnswerModel):
    """The known facts about a user, and the event up to which they are known."""

    userid: int
    n: int
    likes: int
    first_ts: int
    last_ts: int
    genres: dict[str, Tally]
    decades: dict[str, Tally]
    terms: Terms
    seen: int = Field(description="items rated")
    recent: list[RecentRating] = Field(description="newest first")
    as_of: AsOf


class UserAttributes(AnswerModel):
    """Attributes of a user as numbers, as the catalogue has them; -1 where one is not known."""

    gender: int
    age: int
    occupation: int


class StoredRating(AnswerModel):
    """A user's rating of an item, as the seen filter has it."""

    itemid: int
    rating: int = Field(ge=1, le=5)
    ts: int = Field(ge=0, description="unix seconds")


class StoredRecord(AnswerModel):
    """A record of the user in the archive or the log."""

    partition: int = Field(ge=0)
    offset: int = Field(ge=0)
    appended: float = Field(description="unix seconds; 0 if the record has no time")
    value: str | None = Field(description="the value; bytes that are no UTF-8 are escaped")


class UserExport(AnswerModel):
    """All that is stored about a user."""

    userid: int
    attributes: UserAttributes
    profile: dict[str, int | list[int] | list[list[int]]] | None = Field(description="its counts and last events")
    ratings: list[StoredRating] = Field(description="the latest rating of each item, by item")
    features: dict[str, int | list[int]] | None = Field(description="the feature row")
    records: list[StoredRecord] = Field(description="the user's records in the archive and the log, oldest first")


class Lives(AnswerModel):
    """The process answers."""

    status: Literal["ok"]


class Readiness(AnswerModel):
    """The result of checking every store."""

    status: Literal["ok", "not ready"]
    checks: dict[Check, bool]
    waits_for: str | None = Field(
        None, description="what is missing; with the status ok, the reason why lists are not the best ones"
    )
    stopped: dict[str, str] | None = Field(
        None, description="by partition, the reason why its events are not folded; its ratings are refused with 503"
    )


class Refusal(AnswerModel):
    """The reason for refusing a request; if the request breaks a rule, the field and the rule."""

    error: str = Field(min_length=1)


class OpenAlarm(AnswerModel):
    """An open alarm: `value` is what was measured when it opened."""

    series: str
    detector: str
    opened: int
    opened_wall_ts: float
    opened_event_ts: int
    value: float
    threshold: float | None = Field(description="what normal stays under; null for adwin, kswin and failure")
    mean_before: float | None = Field(description="mean before the change; null but for adwin and kswin")
    closed: int | None
    closed_wall_ts: float | None
    closed_event_ts: int | None


class OpenCause(AnswerModel):
    """Open alarms of one cause, with the note of an operator."""

    cause: str
    note: str | None
    acknowledged_wall_ts: float | None
    alarms: list[OpenAlarm]


class OpenCauses(AnswerModel):
    """Causes of drift, newest first."""

    causes: list[OpenCause]


class Acknowledged(AnswerModel):
    """The acknowledged cause and the keys of its alarms; the note holds until these change."""

    cause: str
    alarms: list[str]
