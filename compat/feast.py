"""Feast: an import without what only training needs, rows written and deleted directly, keys of rows, its server.

Imported before anything else of Feast, so that Feast is imported here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
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
from feast.infra.key_encoding_utils import deserialize_entity_key, serialize_entity_key_prefix  # noqa: E402
from feast.infra.online_stores.helpers import _redis_key  # noqa: E402
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig  # noqa: E402
from feast.protos.feast.types.EntityKey_pb2 import EntityKey  # noqa: E402
from feast.protos.feast.types.Value_pb2 import Int64List, Value  # noqa: E402

typeguard.typechecked = _typechecked
if _without_torch:
    del sys.modules["torch"]

__all__ = [
    "ENCODING",
    "EntityKey",
    "FeatureStore",
    "FeatureView",
    "Int64List",
    "RedisOnlineStoreConfig",
    "RepoConfig",
    "Value",
    "delete_entities",
    "delete_rows",
    "entity_of",
    "read_server",
    "retry_by",
    "row_key",
    "row_key_prefix",
    "write_rows",
]

ENCODING = 3
"""Version of Feast's encoding of keys."""

Rows = Sequence[tuple[EntityKey, Mapping[str, Value], datetime, None]]
"""Key, values, timestamp and time of creation, which is none, of each row."""


def retry_by(store: FeatureStore, retry: Any) -> None:
    """Have the online store repeat its commands by a policy of redis-py; the connection string cannot name one."""
    online = cast(RedisOnlineStore, store._get_provider().online_store)
    online._get_client(store.config.online_store).set_retry(retry)


def write_rows(store: FeatureStore, view: FeatureView, rows: Rows) -> None:
    """Write rows of many entities at once, each with a timestamp of its own; Feast's own interface takes a DataFrame.

    A row that is not later than the stored one changes nothing.
    """
    store._get_provider().online_write_batch(store.config, view, rows, None)


def delete_rows(store: FeatureStore, view: FeatureView) -> None:
    """Delete all rows of a view."""
    store._get_provider().online_store.delete_table(store.config, view)


def delete_entities(store: FeatureStore, join_key: str, entities: Sequence[int]) -> None:
    """Delete the rows of entities in all views."""
    client = cast(RedisOnlineStore, store._get_provider().online_store)._get_client(store.config.online_store)
    client.delete(*(row_key(store.project, join_key, entity) for entity in entities))


def row_key(project: str, join_key: str, entity: int) -> bytes:
    """Redis' key of an entity's row."""
    key = EntityKey(join_keys=[join_key], entity_values=[Value(int64_val=entity)])
    return bytes(_redis_key(project, key, entity_key_serialization_version=ENCODING))


def row_key_prefix(join_key: str) -> bytes:
    """The beginning of the keys of all rows of a kind of entities."""
    return bytes(serialize_entity_key_prefix([join_key], entity_key_serialization_version=ENCODING))


def entity_of(project: str, key: bytes) -> int:
    """The entity whose row is stored under a key.

    Raises:
        Exception: of any kind, if the key is not one of Feast's.
    """
    entity = deserialize_entity_key(key.removesuffix(project.encode()), ENCODING)
    return int(entity.entity_values[0].int64_val)


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
