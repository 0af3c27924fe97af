"""The files of a data set, and the columns of its events."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from features.dataset.part import Part, Strings

TIME_UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 0}
"""Units of times that are numbers, in microseconds; nanoseconds are a fraction."""

ISO = "iso"


class File(Part):
    """A file in the data folder.

    Attributes:
        path: relative to the data folder.
        format: `csv`, `parquet`, or `jsonl` (a JSON object on each line).
        separator: between the values of a CSV file, one character or more.
        encoding: of a CSV file, by Python's name for it.
        header: True if the first line of a CSV file names the columns.
        columns: their names where no header does.
        quote: True if values of a CSV file may stand in double quotes.
        missing: texts that stand for a missing value in a CSV file.
    """

    path: Annotated[str, Field(min_length=1)]
    format: Literal["csv", "parquet", "jsonl"]
    separator: Annotated[str, Field(min_length=1, max_length=8)] = ","
    encoding: str = "utf-8"
    header: bool = True
    columns: Strings = ()
    quote: bool = True
    missing: Strings = ("",)

    @field_validator("path")
    @classmethod
    def _inside(cls, path: str) -> str:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise ValueError("must be a path inside the data folder")
        return path

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        try:
            "".encode(encoding)
        except LookupError:
            raise ValueError("must be an encoding that Python knows, such as 'utf-8' or 'latin-1'") from None
        return encoding

    @field_validator("separator")
    @classmethod
    def _separates(cls, separator: str) -> str:
        if set(separator) & {"\n", "\r", '"'}:
            raise ValueError("must not hold a line break or a double quote")
        return separator

    @model_validator(mode="after")
    def _consistent(self) -> File:
        if self.format != "csv":
            given = sorted(self.model_fields_set - {"path", "format"})
            if given:
                raise ValueError(f"has {given[0]!r}, which only a CSV file has")
        elif self.header == bool(self.columns):
            raise ValueError("names its columns in `columns` if and only if it has `header = false`")
        elif len(self.separator) > 1 and self.quote:
            raise ValueError("has a separator of more than one character, which needs `quote = false`")
        elif len({*self.columns}) < len(self.columns):
            raise ValueError("has two columns of one name")
        return self


class EventSource(Part):
    """A file of events, and the columns that hold them.

    Attributes:
        file: its name in `files`.
        user, item, time: columns.
        time_format: `s`, `ms`, `us` or `ns` since 1970 for numbers, `iso`, or a format of `strptime`; times without a
            zone are UTC. Columns of times in Parquet files need none.
        type: column with the type of each event.
        event: the type of all events, where no column says it.
        names: types by their texts in the column, where these differ; several texts may be of one type.
        ignore: texts of types that are left out.
        value: column with a number for each event, such as stars, seconds or a price.
    """

    file: str
    user: str
    item: str
    time: str
    time_format: Annotated[str, Field(min_length=1)] = "s"
    type: str = ""
    event: str = ""
    names: dict[str, str] = Field(default_factory=dict)
    ignore: Strings = ()
    value: str = ""

    @field_validator("time_format")
    @classmethod
    def _readable(cls, time_format: str) -> str:
        if time_format not in {*TIME_UNITS, ISO} and "%" not in time_format:
            raise ValueError("must be 's', 'ms', 'us', 'ns', 'iso', or a format such as '%d-%b-%Y'")
        return time_format

    @model_validator(mode="after")
    def _one_type(self) -> EventSource:
        if bool(self.type) == bool(self.event):
            raise ValueError("needs either `type` (a column) or `event` (the type of all its events)")
        if (self.ignore or self.names) and not self.type:
            raise ValueError("has `ignore` or `names`, which need `type`")
        return self

    @property
    def columns(self) -> dict[str, str]:
        """The columns that are read, by key."""
        names = {key: getattr(self, key) for key in ("user", "item", "time", "type", "value")}
        return {key: name for key, name in names.items() if name}
