"""The description of a data set."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from features.dataset.attributes import Attribute
from features.dataset.codes import HALF_LIFE_DAYS
from features.dataset.feedback import Feedback
from features.dataset.files import EventSource, File
from features.dataset.part import Name, Part


class Entities(Part):
    """The items or the users.

    Attributes:
        ids: `integer` (1 to 2**31 - 1) or `string`.
        file: its name in `files`; none where they are those that events name.
        id: column with the id.
        complete: True if an event of an id that the file lacks is an error; else it is one without attributes.
        attributes: by name.
    """

    ids: Literal["integer", "string"]
    file: str = ""
    id: str = ""
    complete: bool = True
    attributes: dict[Name, Attribute] = Field(default_factory=dict)


class LastEvents(Part):
    """A split by user: the last events of each are held out.

    Attributes:
        events: how many.
    """

    kind: Literal["last"]
    events: Annotated[int, Field(ge=1)]


class PointInTime(Part):
    """A split by time: the events from a point in time on are held out.

    Attributes:
        at: the point in time, with its zone.
    """

    kind: Literal["time"]
    at: AwareDatetime


class DataSet(Part):
    """A data set.

    Attributes:
        schema_version: of the layout of the description.
        name: as it is shown.
        folder: folder of the files, relative to the description; the setting `data.folder` takes precedence.
        files: by name.
        events: the files of events; they are read one after the other.
        feedback: by type of event.
        items, users: what there is.
        positive_share: share of positive events, towards which rates of few events are drawn; None: that of the data.
        term_half_life_days: days after which an event has half its weight among the terms that a user prefers.
        split: which events are held out; None: as the settings `data.online_events` says.
    """

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(min_length=1)]
    folder: str = ""
    files: dict[str, File]
    events: Annotated[tuple[EventSource, ...], Field(strict=False, min_length=1)]
    feedback: Annotated[dict[Name, Feedback], Field(min_length=1)]
    items: Entities
    users: Entities
    positive_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    term_half_life_days: Annotated[int, Field(ge=1, le=3650)] = HALF_LIFE_DAYS
    split: Annotated[LastEvents | PointInTime, Field(discriminator="kind")] | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of all files, in the order of the description."""
        return tuple(file.path for file in self.files.values())
