"""The answers of the API as pydantic models: what is sent, and what the OpenAPI document is generated from.

Those that depend on the data set are made from its schema (`api.data_set_answers`), with the models here as their base.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from features.ids import Id
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
    like: float | None = Field(None, ge=0, le=1, description="probability of a like; absent without Triton")
    features: dict[str, float] = Field(description="the ranker's dense features by name")


class ListedItem(AnswerModel):
    """An item of a list, with its attributes by their names."""

    itemid: Id
    score: float = Field(description="the list is ordered by it, highest first")
    title: str = Field(description="the id of an item that has no title")
    explain: Explanation | None = Field(None, description="present if the request has `explain`")


class Recommendation(AnswerModel):
    """A list, best first."""

    item_list: list[ListedItem]
    run: str = Field(description="the model version")
    as_of: AsOf | None = Field(description="null if the user is not stored")
    degraded: list[Store] = Field(description="stores that did not answer; the list is the next best one without them")
    fallback: Fallback | None = Field(description="the reason if the list is not made from the user's own events")


class ItemList(AnswerModel):
    """Items, best first, that follow from no user."""

    item_list: list[ListedItem]
    run: str = Field(description="the model version")
    degraded: list[Store] = Field(description="stores that did not answer; the list is the next best one without them")


class ItemState(AnswerModel):
    """An item: its attributes by their names, and its counters."""

    itemid: Id
    title: str = Field(description="the id of an item that has no title")
    version: int = Field(0, ge=0, description="of its last change; absent as long as it is as published")
    withdrawn: bool = Field(False, description="true if no list has it any more; absent as `version` is")
    n: int = Field(ge=0, description="events of different users or types that count")
    likes: int = Field(ge=0, description="those that are positive")
    recent_likes: int = Field(ge=0, description="positive ones of the last weeks")
    last_ts: int = Field(ge=0, description="time of the latest event, unix seconds; 0 without events")


class Accepted(AnswerModel):
    """The position of the event in the log; all replicas hold it."""

    partition: int = Field(ge=0)
    offset: int = Field(ge=0)
    ts: int = Field(ge=0, description="the event's time, unix seconds")


class AcceptedEvents(RootModel[list[Accepted]]):
    """The positions of the events in the log, in the order of the request; all replicas hold them."""


class Place(AnswerModel):
    """A position in the log."""

    partition: int = Field(ge=0)
    offset: int = Field(ge=0)


class ItemChangeAccepted(AnswerModel):
    """The positions of the change of an item, one in every partition of the log; all replicas hold them."""

    itemid: Id
    version: int = Field(ge=1, description="the change of an item with the highest version counts")
    withdrawn: bool
    unknown_values: dict[str, list[str]] = Field(
        description="by attribute, values that the data set does not have, which count as missing until the next reset"
    )
    positions: list[Place] = Field(description="by partition")


class UserChangeAccepted(AnswerModel):
    """The position of the change of a user in the log; all replicas hold it."""

    userid: Id
    partition: int = Field(ge=0)
    offset: int = Field(ge=0)
    unknown_values: dict[str, list[str]] = Field(
        description="by attribute, values that the data set does not have, which count as unknown until the next reset"
    )


class ErasureAccepted(AnswerModel):
    """The position of the erasure in the log; all replicas hold it. From there on the user is unknown."""

    partition: int = Field(ge=0)
    offset: int = Field(ge=0)


class Tally(AnswerModel):
    """Events that count, and the positive ones among them."""

    n: int
    likes: int


class StoredEvent(AnswerModel):
    """An event that is known of a user and an item, with its type or its value."""

    itemid: Id
    ts: int = Field(ge=0, description="unix seconds")


class RecentEvent(StoredEvent):
    """An event that the profile keeps in full."""

    title: str = Field(description="the id of an item that has no title")


class UserState(AnswerModel):
    """The known facts about a user, and the event up to which they are known; counts by value of each term."""

    userid: Id
    n: int = Field(description="events that count")
    likes: int = Field(description="positive events")
    first_ts: int
    last_ts: int
    terms: AnswerModel = Field(description="preferred values by attribute, above 0 and up to 1")
    seen: int = Field(description="items with an event")
    recent: list[RecentEvent] = Field(description="newest first")
    as_of: AsOf


class StoredRecord(AnswerModel):
    """A record of the user in the archive or the log."""

    partition: int = Field(ge=0)
    offset: int = Field(ge=0)
    appended: float = Field(description="unix seconds; 0 if the record has no time")
    value: str | None = Field(description="the value; bytes that are no UTF-8 are escaped")


class UserExport(AnswerModel):
    """All that is stored about a user."""

    userid: Id
    attributes: AnswerModel = Field(description="as numbers, as the catalogue has them; -1 where one is not known")
    profile: dict[str, Id | list[int] | dict[str, float] | list[tuple[int, Id, int]]] | None = Field(
        description="its counts, weights of terms as shares of the greatest, and last events: time, item, code"
    )
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
        None, description="by partition, the reason why its events are not folded; new ones are refused with 503"
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
