"""User and item features in Feast, online store Redis."""

from __future__ import annotations

import json
import logging
import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import cast

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from redis import ResponseError

# Before anything that imports Feast: see there.
from compat.feast import (
    ENCODING,
    NO_OFFLINE_STORE,
    FeatureStore,
    FeatureView,
    FeatureViewNotFoundException,
    RedisOnlineStoreConfig,
    RepoConfig,
    delete_entities,
    delete_rows,
    read_rows,
    retry_by,
    write_rows,
)
from features.counts import Attribute, Count
from features.ids import Id
from features.repository import ITEM_VIEW, USER_VIEW, repository
from features.rows import Row, user_row_time
from features.schema import Schema
from settings import RedisSettings, Settings
from stores.redis.connection import reachable, retry
from stores.redis.generations import FIRST, project_of

log = logging.getLogger("reelstream.stores")

UNPUBLISHED = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=1)
"""Time of an item's row before the first publication; Feast takes the first microsecond for no time."""

ROWS = 500
"""Rows written in one pipeline."""


def repo_config(settings: Settings, generation: str = FIRST) -> RepoConfig:
    """Feast's configuration for a generation of the state."""
    registry = registry_of(settings, generation)
    registry.parent.mkdir(parents=True, exist_ok=True)
    return RepoConfig(
        project=project_of(settings.feast.project, generation),
        provider="local",
        registry={"path": str(registry), "cache_ttl_seconds": 0},
        online_store=RedisOnlineStoreConfig(connection_string=connection_string(settings.redis)),
        offline_store={"type": NO_OFFLINE_STORE},
        entity_key_serialization_version=ENCODING,
    )


def registry_of(settings: Settings, generation: str) -> Path:
    """The registry of a generation of the state.

    Each has a file of its own: Feast rewrites the whole file in place, and whoever reads it meanwhile, or after the
    writer was killed, finds a part of it.
    """
    registry = settings.feast_registry
    return registry.with_stem(f"{registry.stem}-{generation}") if generation else registry


def connection_string(redis: RedisSettings) -> str:
    """Redis as Feast wants it named: `host:port,parameter=value,...`.

    Feast cuts the string at every comma and reads each value as JSON where it is JSON, so that a password of digits
    would become a number. As JSON strings without a comma, values arrive as they are.
    """
    parts = [f"{redis.host}:{redis.port}", f"socket_timeout={redis.timeout_s}"]
    if redis.username:
        parts.append(f"username={_quoted(redis.username)}")
    if password := redis.secret:
        parts.append(f"password={_quoted(password)}")
    if redis.tls:
        parts.append("ssl=true")
        if redis.ca_file:
            parts.append(f"ssl_ca_certs={_quoted(redis.ca_file)}")
    return ",".join(parts)


def _quoted(value: str) -> str:
    return json.dumps(value).replace(",", "\\u002c")


def open_store(settings: Settings, generation: str = FIRST) -> FeatureStore:
    """Feast's own store of a generation of the state, with the definitions that its registry holds, if any."""
    store = FeatureStore(config=repo_config(settings, generation))
    retry_by(store, retry())
    return store


class Features:
    """The feature store of a generation of the state. Not for use by several threads at once.

    Args:
        settings: all settings.
        schema: of the data set.
        generation: its name.
    """

    def __init__(self, settings: Settings, schema: Schema, generation: str = FIRST) -> None:
        """Open the store and make sure that its registry holds the definitions."""
        self._schema, self._declared = schema, repository(schema)
        self._store = open_store(settings, generation)
        self._registry = registry_of(settings, generation)
        if not self._registry.is_file():
            self.apply()
        if not self._read_views():
            self.apply()
            self._read_views()

    def _read_views(self) -> bool:
        """Read the views; False where the registry has none, or those of another release or data set."""
        try:
            self._user_view = cast(FeatureView, self._store.get_feature_view(USER_VIEW))
            self._item_view = cast(FeatureView, self._store.get_feature_view(ITEM_VIEW))
        except FeatureViewNotFoundException:
            return False
        declared, entities = self._declared, (self._declared.user, self._declared.item)
        return (
            self._user_view.features == declared.user_view.features
            and self._item_view.features == declared.item_view.features
            and all(self._store.get_entity(each.name).value_type == each.value_type for each in entities)
        )

    @property
    def store(self) -> FeatureStore:
        """Feast's own object."""
        return self._store

    def apply(self) -> None:
        """Write the definitions of `features.repository` into the registry."""
        self._store.apply(self._declared.objects)

    def delete_all(self) -> None:
        """Delete the rows of all users and items.

        Raises:
            Unreachable: if Redis does not answer.
        """
        with reachable():
            for view in (self._user_view, self._item_view):
                delete_rows(self._store, view)

    def forget(self) -> None:
        """Delete the definitions, once all rows are deleted and nobody reads them any more."""
        self._registry.unlink(missing_ok=True)

    def write_users(self, rows: Iterable[tuple[Id, Row]]) -> None:
        """Write the rows of users; one that is not later than the stored one changes nothing.

        Raises:
            Unreachable: if Redis does not answer.
        """
        self._write(self._user_view, "userid", rows, user_row_time)

    def write_items(self, rows: Iterable[tuple[Id, Row]], published: datetime = UNPUBLISHED) -> None:
        """Write the rows of items; one that is not later than the stored one changes nothing.

        Args:
            rows: the rows.
            published: time of the publication that they belong to (see `stores.redis.publication_clock`); left out for
                those of a state that no event was folded into.

        Raises:
            Unreachable: if Redis does not answer.
        """
        self._write(self._item_view, "itemid", rows, lambda row: published)

    def delete_users(self, userids: Sequence[Id]) -> None:
        """Delete the rows of users.

        Raises:
            Unreachable: if Redis does not answer.
        """
        if userids:
            with reachable():
                delete_entities(self._store, "userid", userids)

    def users(self, userids: Sequence[Id]) -> dict[Id, Row]:
        """Rows of users; without those that have none that can be read.

        Raises:
            Unreachable: if Redis does not answer.
        """
        return self._read(self._user_view, "userid", userids, self._schema.user_fields)

    def items(self, itemids: Sequence[Id]) -> dict[Id, Row]:
        """Rows of items; without those that have none that can be read.

        Raises:
            Unreachable: if Redis does not answer.
        """
        return self._read(self._item_view, "itemid", itemids, self._schema.item_fields)

    def _write(
        self, view: FeatureView, join_key: str, rows: Iterable[tuple[Id, Row]], time_of: Callable[[Row], datetime]
    ) -> None:
        remaining = iter(rows)
        while batch := list(islice(remaining, ROWS)):
            with reachable():
                write_rows(self._store, view, join_key, [(entity, row, time_of(row)) for entity, row in batch])

    def _read(
        self, view: FeatureView, join_key: str, ids: Sequence[Id], fields: Sequence[Count | Attribute]
    ) -> dict[Id, Row]:
        if not ids:
            return {}
        try:
            with reachable():
                found = read_rows(self._store, view, join_key, ids, [field.name for field in fields])
        except (DecodeError, ResponseError, ValueError, TypeError, struct.error) as error:
            if len(ids) == 1:
                log.warning("the feature row of %s %s cannot be read: %r", join_key, ids[0], error)
                return {}
            half = len(ids) // 2
            parts = (self._read(view, join_key, part, fields) for part in (ids[:half], ids[half:]))
            return {entity: row for part in parts for entity, row in part.items()}
        return {entity: row for entity, row in zip(ids, found, strict=True) if row}
