"""Feast: an import without what only training needs, no offline store, its server. Rows are in `compat.feast_rows`.

Imported before anything else of Feast, so that Feast is imported here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
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
from feast.infra.offline_stores.offline_store import OfflineStore  # noqa: E402
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig  # noqa: E402
from feast.repo_config import FeastConfigBaseModel  # noqa: E402

typeguard.typechecked = _typechecked
if _without_torch:
    del sys.modules["torch"]

__all__ = [
    "NO_OFFLINE_STORE",
    "FeatureStore",
    "FeatureView",
    "FeatureViewNotFoundException",
    "RedisOnlineStoreConfig",
    "RepoConfig",
    "delete_view",
    "read_server",
    "retry_by",
]


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


def delete_view(store: FeatureStore, view: FeatureView) -> None:
    """Delete all rows of a view."""
    store._get_provider().online_store.delete_table(store.config, view)


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
