"""Feast: an import without what only training needs, no offline store, rows written and deleted directly, keys of rows,
its server.

Imported before anything else of Feast, so that Feast is imported here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, cast

import typeguard

TESTED = {"feast": "0.67.0", "typeguard": "4.6.0"}

os.environ.setdefault("FEAST_USAGE", "False")
# Feast loads torch where it is installed, which only training needs: 300 MB and 2 s for each process that serves.
_without_torch = "torch" not in sys.modules
if _without_torch:
    sys.modules["torch"] = cast(Any, None)
# Feast has its own calls checked against their types, for which typeguard compiles its classes anew: half of the 8 s of
# CPU time that a process takes to start, and so of the time that a worker which died is missing.
_typechecked = typeguard.typechecked
typeguard.typechecked = cast(Any, lambda target: target)

from feast import FeatureStore, FeatureView, RepoConfig  # noqa: E402
from feast.errors import FeatureViewNotFoundException  # noqa: E402
from feast.infra.key_encoding_utils import deserialize_entity_key, serialize_entity_key_prefix  # noqa: E402
from feast.infra.offline_stores.offline_store import OfflineStore  # noqa: E402
from feast.infra.online_stores.helpers import _mmh3, _redis_key  # noqa: E402
from feast.infra.online_stores.redis import (  # noqa: E402
    RedisOnlineStore,
    RedisOnlineStoreConfig,
    _versioned_fv_name,
)
from feast.protos.feast.types.EntityKey_pb2 import EntityKey  # noqa: E402
from feast.protos.feast.types.Value_pb2 import Int64List, Value  # noqa: E402
from feast.repo_config import FeastConfigBaseModel  # noqa: E402
from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]  # noqa: E402

typeguard.typechecked = _typechecked
if _without_torch:
    del sys.modules["torch"]

__all__ = [
    "ENCODING",
    "NO_OFFLINE_STORE",
    "Entity",
    "FeatureStore",
    "FeatureView",
    "FeatureViewNotFoundException",
    "RedisOnlineStoreConfig",
    "RepoConfig",
    "delete_entities",
    "delete_rows",
    "entity_of",
    "read_rows",
    "read_server",
    "retry_by",
    "row_key",
    "row_key_prefix",
    "write_rows",
]

ENCODING = 3
"""Version of Feast's encoding of keys."""

Entity = int | str
"""An entity, by its id."""

ENTITY_VALUES = ("int64_val", "string_val")
"""The fields of a value that hold an id."""

Row = tuple[Entity, Mapping[str, float | list[int]], datetime]
"""The entity, the features by name, and the timestamp of a row."""

SHORT = 16
"""Bytes of a value up to which it is kept as it was read, as most of a row's are small numbers."""


class NoOfflineStore(OfflineStore):  # type: ignore[misc]
    """In place of the offline store of which Feast demands one, though nothing here reads features of the past.

    Feast's own ones load dask or DuckDB, a fifth of the time that a worker takes to start.
    """

    def validate_data_source(self, config: RepoConfig, data_source: object) -> None:
        """Take any source, as none is read."""


class NoOfflineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """The configuration of `NoOfflineStore`, which Feast finds by its name."""

    type: str = ""


NO_OFFLINE_STORE = f"{NoOfflineStore.__module__}.{NoOfflineStore.__name__}"
"""The type of an offline store that does nothing."""


def retry_by(store: FeatureStore, retry: Any) -> None:
    """Have the online store repeat its commands by a policy of redis-py; the connection string cannot name one."""
    online = cast(RedisOnlineStore, store._get_provider().online_store)
    online._get_client(store.config.online_store).set_retry(retry)


def write_rows(store: FeatureStore, view: FeatureView, join_key: str, rows: Sequence[Row]) -> None:
    """Write rows of many entities at once, each with a timestamp of its own; Feast's own interface takes a DataFrame.

    A row that is not later than the stored one, or than an earlier one of the same entity, changes nothing. The same
    bytes as `RedisOnlineStore.online_write_batch` writes, in less than half its time.
    """
    config = store.config
    client = cast(RedisOnlineStore, store._get_provider().online_store)._get_client(config.online_store)
    name = _versioned_fv_name(view, config)
    keys = [row_key(store.project, join_key, entity) for entity, _, _ in rows]
    with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.hget(key, f"_ts:{name}")
        latest = {key: _nanoseconds(stored) for key, stored in zip(keys, pipe.execute(), strict=True) if stored}
        for key, (_, features, at) in zip(keys, rows, strict=True):
            time = Timestamp()
            time.FromDatetime(at)
            nanoseconds = time.ToNanoseconds()
            previous = latest.get(key)
            if not previous or nanoseconds > previous:
                latest[key] = nanoseconds
                values = {_field_of(name, feature): _packed(value) for feature, value in features.items()}
                pipe.hset(key, mapping=cast(Any, {f"_ts:{name}": time.SerializeToString(), **values}))
        pipe.execute()


def _nanoseconds(stored: bytes) -> int:
    return int(Timestamp.FromString(stored).ToNanoseconds())


@lru_cache(maxsize=1024)
def _field_of(view: str, feature: str) -> bytes:
    return bytes(_mmh3(f"{view}:{feature}"))


def _packed(value: float | list[int]) -> bytes:
    if isinstance(value, list):
        return bytes(Value(int64_list_val=Int64List(val=value)).SerializeToString())
    if isinstance(value, float):
        return bytes(Value(double_val=value).SerializeToString())
    return _packed_count(value)


@lru_cache(maxsize=4096)
def _packed_count(value: int) -> bytes:
    return bytes(Value(int64_val=value).SerializeToString())


def read_rows(
    store: FeatureStore, view: FeatureView, join_key: str, entities: Sequence[Entity], features: Sequence[str]
) -> list[dict[str, Any]]:
    """Read rows of many entities at once, as `FeatureStore.get_online_features` gives them, in a fifth of its time.

    Returns:
        By entity, the features that its row has.

    Raises:
        DecodeError: if a value is none.
    """
    config = store.config
    client = cast(RedisOnlineStore, store._get_provider().online_store)._get_client(config.online_store)
    name = _versioned_fv_name(view, config)
    fields = [_field_of(name, feature) for feature in features]
    with client.pipeline(transaction=False) as pipe:
        for entity in entities:
            pipe.hmget(row_key(store.project, join_key, entity), fields)
        found = pipe.execute()
    rows = ([_value(each) if each else None for each in stored] for stored in found)
    return [{feature: value for feature, value in zip(features, row, strict=True) if value is not None} for row in rows]


def _value(stored: bytes) -> Any:
    value = _unpacked(stored) if len(stored) <= SHORT else _unpacked.__wrapped__(stored)
    return list(value) if isinstance(value, tuple) else value


@lru_cache(maxsize=4096)
def _unpacked(stored: bytes) -> Any:
    value = Value.FromString(stored)
    if (kind := value.WhichOneof("val")) is None:
        return None
    content = getattr(value, kind)
    return tuple(content.val) if kind.endswith("_list_val") else content


def delete_rows(store: FeatureStore, view: FeatureView) -> None:
    """Delete all rows of a view."""
    store._get_provider().online_store.delete_table(store.config, view)


def delete_entities(store: FeatureStore, join_key: str, entities: Sequence[Entity]) -> None:
    """Delete the rows of entities in all views."""
    client = cast(RedisOnlineStore, store._get_provider().online_store)._get_client(store.config.online_store)
    client.delete(*(row_key(store.project, join_key, entity) for entity in entities))


def _entity_key(join_key: str, entity: Entity) -> EntityKey:
    value = Value(string_val=entity) if isinstance(entity, str) else Value(int64_val=entity)
    return EntityKey(join_keys=[join_key], entity_values=[value])


@lru_cache(maxsize=8192)
def row_key(project: str, join_key: str, entity: Entity) -> bytes:
    """Redis' key of an entity's row."""
    return bytes(_redis_key(project, _entity_key(join_key, entity), entity_key_serialization_version=ENCODING))


def row_key_prefix(join_key: str) -> bytes:
    """The beginning of the keys of all rows of a kind of entities."""
    return bytes(serialize_entity_key_prefix([join_key], entity_key_serialization_version=ENCODING))


def entity_of(project: str, key: bytes) -> Entity:
    """The entity whose row is stored under a key.

    Raises:
        Exception: of any kind, if the key is not one of Feast's.
    """
    (value,) = deserialize_entity_key(key.removesuffix(project.encode()), ENCODING).entity_values
    kind = value.WhichOneof("val")
    if kind not in ENTITY_VALUES:
        raise ValueError(f"the key of an entity holds {kind}")
    entity: Entity = getattr(value, kind)
    return entity


def read_server(store: FeatureStore, restrict: Callable[[Any], Any], **options: Any) -> Any:
    """Feast's feature server with its ASGI application wrapped, set up as `FeatureStore.serve` sets it up.

    Args:
        store: the store that it serves.
        restrict: makes the application that is served of Feast's own, which has no read-only mode.
        options: of gunicorn, and `registry_ttl_sec`.
    """
    from feast.feature_server import FeastServeApplication
    from feast.permissions.server.utils import (
        ServerType,
        init_auth_manager,
        init_security_manager,
        str_to_auth_manager_type,
    )

    class Server(FeastServeApplication):  # type: ignore[misc]
        def load(self) -> Any:
            return restrict(super().load())

    auth = store.config.auth_config
    kind = str_to_auth_manager_type(auth.type)
    init_security_manager(auth_type=kind, fs=store)
    init_auth_manager(auth_type=kind, server_type=ServerType.REST, auth_config=auth)
    return Server(store, **options)
