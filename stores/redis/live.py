"""The live snapshot, with which the state began, and the live run, which answers requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from features import Schema
from features.stored import FIRST_VERSION, Record
from features.version import FIRST_COLUMNS, difference
from stores.errors import OtherVersion


class Snapshot(Record):
    """The offline history that the state began with.

    Attributes:
        data_hash: SHA-256 of the data set.
        created: UTC time, ISO 8601.
        events: offline events folded.
        users: profiles written.
        items: items of the catalogue.
        base: the snapshot of the state, written by `reelstream adopt`, that the log in use follows; None where it
            follows the offline history.
    """

    data_hash: str
    created: str
    events: int
    users: int
    items: int
    base: str | None = None


class LiveRun(Record):
    """The run that answers are made with.

    Attributes:
        run: its id.
        version: version number of its models on Triton.
        index: its Elasticsearch index.
        dim: length of a user or item vector.
        history: events that its encoder sees.
        quality: NDCG@10 of the whole pipeline on validation events.
        data_hash: SHA-256 of the data that it was trained on; empty for one published by an earlier reelstream.
        dense: columns of the dense input that its ranker was trained on.
        numbered: whether its models know ids by their numbers (`Published.ids`); False for one published by an earlier
            reelstream, whose models take whole numbers as they are.
    """

    schema_version: int = 2
    run: str
    version: int
    index: str
    dim: int
    history: int
    quality: float
    data_hash: str = ""
    dense: list[str] = Field(default_factory=lambda: list(FIRST_COLUMNS))
    numbered: bool = False

    @classmethod
    def migrated_versions(cls) -> tuple[int, ...]:
        """The first version, of runs whose models take ids as they are."""
        return (FIRST_VERSION,)

    @model_validator(mode="before")
    @classmethod
    def _migrate(cls, stored: Any) -> Any:
        """Read the first version, which lacks `numbered`."""
        if isinstance(stored, Mapping) and stored.get("schema_version", FIRST_VERSION) == FIRST_VERSION:
            return {**stored, "schema_version": cls.current_version()}
        return stored

    def require_columns(self, schema: Schema) -> None:
        """Refuse a run whose ranker was trained on other columns than are declared for the data set of the state.

        Raises:
            OtherVersion: if it is one.
        """
        if (other := difference(self.dense, schema.dense_columns)) is not None:
            raise OtherVersion(
                f"run {self.run} was trained on other features than this release declares ({other}); run "
                "`reelstream train` and `reelstream publish`, or go back to the release that trained it"
            )
