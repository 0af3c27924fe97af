"""User and item features in Feast, online store Redis."""

from __future__ import annotations

import json
import logging
import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, cast

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from redis import ResponseError

# Before anything that imports Feast: see there.
from compat.feast import (
    ENCODING,
    EntityKey,
    FeatureStore,
    FeatureView,
    Int64List,
    RedisOnlineStoreConfig,
    RepoConfig,
    Value,
    delete_entities,
    delete_rows,
    retry_by,
    write_rows,
)
from features import Row, repository, user_row_time
from features.rows import ITEM_FEATURES, ITEM_LISTS, USER_FEATURES, USER_LISTS
from settings import RedisSettings, Settings
from stores.redis.connection import reachable, retry
from stores.redis.generations import FIRST, project_of

log = logging.getLogger("reelstream.stores")

DECLARED = (repository.user_view.features, repository.item_view.features)
"""Fields of the views, as they are declared: what a registry of an earlier reelstream may lack."""

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
        offline_store={"type": "dask"},
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


class Features:
    """The feature store of a generation of the state. Not for use by several threads at once."""

    def __init__(self, settings: Settings, generation: str = FIRST) -> None:
        """Open the store and make sure that its registry holds the definitions."""
        self._store = FeatureStore(config=repo_config(settings, generation))
        retry_by(self._store, retry())
        self._registry = registry_of(settings, generation)
        if not self._registry.is_file():
            self.apply()
        self._read_views()
        if (self._user_view.features, self._item_view.features) != DECLARED:
            self.apply()
            self._read_views()
        self._user_service = self._store.get_feature_service(repository.USER_SERVICE)
        self._item_service = self._store.get_feature_service(repository.ITEM_SERVICE)

    def _read_views(self) -> None:
        self._user_view = cast(FeatureView, self._store.get_feature_view(repository.USER_VIEW))
        self._item_view = cast(FeatureView, self._store.get_feature_view(repository.ITEM_VIEW))

    @property
    def store(self) -> FeatureStore:
        """Feast's own object."""
        return self._store

    def apply(self) -> None:
        """Write the definitions of `features.repository` into the registry."""
        self._store.apply(repository.OBJECTS)

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

    def write_users(self, rows: Iterable[tuple[int, Row]]) -> None:
        """Write the rows of users; one that is not later than the stored one changes nothing.

        Raises:
            Unreachable: if Redis does not answer.
        """
        self._write(self._user_view, "userid", rows, user_row_time)

    def write_items(self, rows: Iterable[tuple[int, Row]], published: datetime = UNPUBLISHED) -> None:
        """Write the rows of items; one that is not later than the stored one changes nothing.

        Args:
            rows: the rows.
            published: time of the publication that they belong to (see `stores.redis.publication_clock`); left out for
                those of a state that no event was folded into.

        Raises:
            Unreachable: if Redis does not answer.
        """
        self._write(self._item_view, "itemid", rows, lambda row: published)

    def delete_users(self, userids: Sequence[int]) -> None:
        """Delete the rows of users.

        Raises:
            Unreachable: if Redis does not answer.
        """
        if userids:
            with reachable():
                delete_entities(self._store, "userid", userids)

    def users(self, userids: Sequence[int]) -> dict[int, Row]:
        """Rows of users; without those that have none that can be read.

        Raises:
            Unreachable: if Redis does not answer.
        """
        return self._read(self._user_service, "userid", userids, USER_FEATURES, USER_LISTS)

    def items(self, itemids: Sequence[int]) -> dict[int, Row]:
        """Rows of items; without those that have none that can be read.

        Raises:
            Unreachable: if Redis does not answer.
        """
        return self._read(self._item_service, "itemid", itemids, ITEM_FEATURES, ITEM_LISTS)

    def _write(
        self, view: FeatureView, join_key: str, rows: Iterable[tuple[int, Row]], time_of: Callable[[Row], datetime]
    ) -> None:
        remaining = iter(rows)
        while batch := list(islice(remaining, ROWS)):
            data = [
                (
                    EntityKey(join_keys=[join_key], entity_values=[Value(int64_val=entity)]),
                    {name: _value(value) for name, value in row.items()},
                    time_of(row),
                    None,
                )
                for entity, row in batch
            ]
            with reachable():
                write_rows(self._store, view, data)

    def _read(
        self, service: Any, join_key: str, ids: Sequence[int], names: Sequence[str], lists: Sequence[str]
    ) -> dict[int, Row]:
        if not ids:
            return {}
        try:
            with reachable():
                columns = self._store.get_online_features(service, entity_rows={join_key: list(ids)}).to_dict()
        except (DecodeError, ResponseError, ValueError, TypeError, struct.error) as error:
            if len(ids) == 1:
                log.warning("the feature row of %s %d cannot be read: %r", join_key, ids[0], error)
                return {}
            half = len(ids) // 2
            parts = (self._read(service, join_key, part, names, lists) for part in (ids[:half], ids[half:]))
            return {entity: row for part in parts for entity, row in part.items()}
        rows: dict[int, Row] = {}
        for place, entity in enumerate(ids):
            row: Row = {}
            for name in names:
                value = columns[name][place]
                if value is not None:
                    row[name] = list(value) if name in lists else value
            if row:
                rows[entity] = row
        return rows


def _value(value: int | list[int]) -> Value:
    if isinstance(value, list):
        return Value(int64_list_val=Int64List(val=value))
    return Value(int64_val=value)
