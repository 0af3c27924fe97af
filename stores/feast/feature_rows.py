"""Feature rows of users and items in Feast's online store, Redis. Feast itself is not loaded for them."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from redis import ResponseError

from compat.feast_rows import delete_rows, read_rows, write_rows
from features.counts import Attribute, Count
from features.ids import Id
from features.rows import ITEM_VIEW, USER_VIEW, Row, user_row_time
from features.schema import Schema
from settings import Settings
from stores.redis.connection import connect, reachable
from stores.redis.generations import FIRST, project_of

log = logging.getLogger("reelstream.stores")

UNPUBLISHED = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=1)
"""Time of an item's row before the first publication; Feast takes the first microsecond for no time."""

ROWS = 500
"""Rows written in one pipeline."""


class FeatureRows:
    """The rows of a generation of the state.

    Args:
        settings: all settings.
        schema: of the data set.
        generation: its name.
    """

    def __init__(self, settings: Settings, schema: Schema, generation: str = FIRST) -> None:
        self._schema = schema
        self._client = connect(settings.redis)
        self._project = project_of(settings.feast.project, generation)

    def write_users(self, rows: Iterable[tuple[Id, Row]]) -> None:
        """Write the rows of users; one that is not later than the stored one changes nothing.

        Raises:
            Unreachable: if Redis does not answer.
        """
        self._write(USER_VIEW, "userid", rows, user_row_time)

    def write_items(self, rows: Iterable[tuple[Id, Row]], published: datetime = UNPUBLISHED) -> None:
        """Write the rows of items; one that is not later than the stored one changes nothing.

        Args:
            rows: the rows.
            published: time of the publication that they belong to (see `stores.redis.publication_clock`); left out for
                those of a state that no event was folded into.

        Raises:
            Unreachable: if Redis does not answer.
        """
        self._write(ITEM_VIEW, "itemid", rows, lambda row: published)

    def delete_users(self, userids: Sequence[Id]) -> None:
        """Delete the rows of users.

        Raises:
            Unreachable: if Redis does not answer.
        """
        if userids:
            with reachable():
                delete_rows(self._client, self._project, "userid", userids)

    def users(self, userids: Sequence[Id]) -> dict[Id, Row]:
        """Rows of users; without those that have none that can be read.

        Raises:
            Unreachable: if Redis does not answer.
        """
        return self._read(USER_VIEW, "userid", userids, self._schema.user_fields)

    def items(self, itemids: Sequence[Id]) -> dict[Id, Row]:
        """Rows of items; without those that have none that can be read.

        Raises:
            Unreachable: if Redis does not answer.
        """
        return self._read(ITEM_VIEW, "itemid", itemids, self._schema.item_fields)

    def _write(
        self, view: str, join_key: str, rows: Iterable[tuple[Id, Row]], time_of: Callable[[Row], datetime]
    ) -> None:
        remaining = iter(rows)
        while batch := list(islice(remaining, ROWS)):
            with reachable():
                write_rows(
                    self._client, self._project, view, join_key, [(entity, row, time_of(row)) for entity, row in batch]
                )

    def _read(self, view: str, join_key: str, ids: Sequence[Id], fields: Sequence[Count | Attribute]) -> dict[Id, Row]:
        if not ids:
            return {}
        try:
            with reachable():
                found = read_rows(self._client, self._project, view, join_key, ids, [field.name for field in fields])
        except (DecodeError, ResponseError, ValueError, TypeError, struct.error) as error:
            if len(ids) == 1:
                log.warning("the feature row of %s %s cannot be read: %r", join_key, ids[0], error)
                return {}
            half = len(ids) // 2
            parts = (self._read(view, join_key, part, fields) for part in (ids[:half], ids[half:]))
            return {entity: row for part in parts for entity, row in part.items()}
        return {entity: row for entity, row in zip(ids, found, strict=True) if row}
