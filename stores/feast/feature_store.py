"""User and item features in Feast, online store Redis: what is declared in its registry, and the rows."""

from __future__ import annotations

import json
from pathlib import Path

# Before anything that imports Feast: see there.
from compat.feast import (
    NO_OFFLINE_STORE,
    FeatureStore,
    FeatureView,
    FeatureViewNotFoundException,
    RedisOnlineStoreConfig,
    RepoConfig,
    delete_view,
    retry_by,
)
from compat.feast_rows import ENCODING
from features.repository import repository
from features.rows import ITEM_VIEW, USER_VIEW
from features.schema import Schema
from settings import RedisSettings, Settings
from stores.feast.feature_rows import FeatureRows
from stores.redis.connection import reachable, retry
from stores.redis.generations import FIRST, project_of


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


class Features(FeatureRows):
    """The feature store of a generation of the state. Not for use by several threads at once.

    Args:
        settings: all settings.
        schema: of the data set.
        generation: its name.
    """

    def __init__(self, settings: Settings, schema: Schema, generation: str = FIRST) -> None:
        """Open the store and make sure that its registry holds the definitions."""
        super().__init__(settings, schema, generation)
        self._declared = repository(schema)
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
            self._views: list[FeatureView] = [self._store.get_feature_view(name) for name in (USER_VIEW, ITEM_VIEW)]
        except FeatureViewNotFoundException:
            return False
        views, entities = self._declared.views, (self._declared.user, self._declared.item)
        same_views = all(view.features == each.features for view, each in zip(self._views, views, strict=True))
        return same_views and all(self._store.get_entity(each.name).value_type == each.value_type for each in entities)

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
            for view in self._views:
                delete_view(self._store, view)

    def forget(self) -> None:
        """Delete the definitions, once all rows are deleted and nobody reads them any more."""
        self._registry.unlink(missing_ok=True)
