"""A client of Elasticsearch, and what it does with whole indices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch
from elasticsearch.serializer import OrjsonSerializer

from settings import ElasticsearchSettings
from stores.errors import Unreachable

NO_MEMORY = "circuit_breaking_exception"
"""Elasticsearch's name for a request that is refused as there is no memory for it."""


class Cluster:
    """A client of the cluster; safe to share between threads."""

    def __init__(self, settings: ElasticsearchSettings) -> None:
        self._settings = settings
        password = settings.password.get_secret_value()
        options: dict[str, Any] = {"ca_certs": settings.ca_file} if settings.ca_file else {}
        self._client = Elasticsearch(
            settings.url,
            basic_auth=(settings.username, password) if settings.username else None,
            request_timeout=settings.timeout_s,
            max_retries=0,
            # The standard library's takes a seventh of the API's time to read candidates.
            serializer=OrjsonSerializer(),
            **options,
        )

    def behind_alias(self) -> list[str]:
        """Indices that the alias points at.

        Raises:
            Unreachable: if Elasticsearch does not answer.
        """
        with self._reachable():
            if not self._client.indices.exists_alias(name=self._settings.alias):
                return []
            return sorted(self._client.indices.get_alias(name=self._settings.alias))

    def point_alias(self, index: str) -> None:
        """Point the alias at an index, and at it alone, in one step.

        Raises:
            Unreachable: if Elasticsearch does not answer.
        """
        alias = self._settings.alias
        with self._reachable():
            patient = self._client.options(request_timeout=60)
            patient.indices.update_aliases(
                actions=[
                    {"remove": {"index": f"{alias}-*", "alias": alias, "must_exist": False}},
                    {"add": {"index": index, "alias": alias}},
                ]
            )

    def indices(self) -> list[str]:
        """Indices of all runs.

        Raises:
            Unreachable: if Elasticsearch does not answer.
        """
        with self._reachable():
            return sorted(self._client.indices.get(index=f"{self._settings.alias}-*"))

    def delete(self, index: str) -> None:
        """Delete an index.

        Raises:
            Unreachable: if Elasticsearch does not answer.
        """
        with self._reachable():
            self._client.options(request_timeout=60, ignore_status=404).indices.delete(index=index)

    def live(self) -> bool:
        """Return True if Elasticsearch answers and its shards are assigned."""
        try:
            return self._client.cluster.health(timeout="1s")["status"] in ("green", "yellow")
        except (ApiError, TransportError):
            return False

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except (ApiError, TransportError) as error:
            where = f"Elasticsearch at {self._settings.url}"
            if NO_MEMORY in str(error):
                raise Unreachable(
                    f"{where} has too little memory for this catalogue; give it more (`elasticsearch.heap_mb` for the "
                    f"node that `reelstream up` starts, now {self._settings.heap_mb} MiB) and restart it"
                ) from error
            raise Unreachable(f"{where} does not answer ({error}); see `reelstream status`") from error
