"""The catalogue in Elasticsearch: one index a run, searched by terms and vector in one request."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch
from elasticsearch.helpers import BulkIndexError, bulk

from features import GENRES, Item
from features.schema import Floats
from features.stored import FIRST_VERSION
from scoring import Candidate, Preferences, Source
from settings import ElasticsearchSettings, RecallSettings
from stores.errors import StoreError, Unreachable
from stores.item_search import FLAT, VECTOR, by_terms, named, nearest

INDEX_VERSION = 1
"""Version of the layout of an index, in its mapping; the first was made without."""

PAGE = 500
"""Documents read at once."""

CHUNK = 50
"""Items written at once."""

REST = 5.0
"""Rest after them, in times that writing them took, so that searches notice little of an index that is filled."""


@dataclass(frozen=True, slots=True)
class Document:
    """An item as an index holds it."""

    id: str
    itemid: int
    fields: Mapping[str, Any]
    vector: Sequence[float]


class ItemIndex:
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
            **options,
        )

    def recall(
        self,
        index: str,
        items: int,
        vector: Floats | None,
        preferences: Preferences,
        exclude: Collection[int],
        limits: RecallSettings,
        *,
        sources: bool = False,
    ) -> list[Candidate]:
        """Candidates by vector and by terms, without the excluded items, in one request.

        Args:
            index: index of the run.
            items: how many the index holds.
            vector: the user vector, FP32 [dim]; None to recall by terms alone.
            preferences: as `scoring.preferences` gives them.
            exclude: items that must not come back.
            limits: how many candidates come from which source; without a vector, all come from the terms.
            sources: whether each tells what each source gave it, for which Elasticsearch scores all of them once more.

        Raises:
            Unreachable: if Elasticsearch does not answer in time.
        """
        seen = {"bool": {"must_not": {"terms": {"itemid": list(exclude)}}}}
        # Beside the query and not within it, where an index without a graph would give all vectors, not the nearest k.
        knn = None if vector is None else nearest(vector, items, limits, seen) | named(Source.VECTOR, sources)
        query = None
        if any(preferences.values()) and (limits.term_k or vector is None):
            query = {"function_score": by_terms(preferences, seen) | named(Source.TERMS, sources)}
        if knn is None and query is None:
            return []
        with self._reachable():
            answer = self._client.search(
                index=index,
                knn=knn,
                query=query,
                size=limits.vector_k + limits.term_k,
                # `_id` stands among the stored fields, which take longer to unpack than the search itself.
                stored_fields=["_none_"],
                docvalue_fields=[{"field": "itemid"}],
                include_named_queries_score=sources,
                track_total_hits=False,
                filter_path="hits.hits.fields,hits.hits.matched_queries" if sources else "hits.hits.fields",
            )
        hits = answer.get("hits", {}).get("hits", [])
        return [Candidate(hit["fields"]["itemid"][0], hit.get("matched_queries", {})) for hit in hits]

    def create(self, index: str, dim: int, items: int) -> None:
        """Make an index, in place of one of the same name.

        Args:
            index: its name.
            dim: numbers of a vector.
            items: how many it will hold; few are compared one by one, which is exact and takes no graph to build.

        Raises:
            Unreachable: if Elasticsearch does not answer.
        """
        vector = {
            "type": "dense_vector",
            "dims": dim,
            "index": True,
            "similarity": "max_inner_product",
            "index_options": {"type": "flat"} if items <= FLAT else {"type": "hnsw", "m": 32, "ef_construction": 400},
        }
        properties = {
            "itemid": {"type": "integer"},
            "title": {"type": "text"},
            "year": {"type": "short"},
            "decade": {"type": "byte"},
            "genres": {"type": "keyword"},
            "prior": {"type": "float"},
            "vector": vector,
        }
        with self._reachable():
            patient = self._client.options(request_timeout=60)
            patient.options(ignore_status=404).indices.delete(index=index)
            patient.indices.create(
                index=index,
                settings={"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1"},
                mappings={"dynamic": "strict", "properties": properties, "_meta": {"schema_version": INDEX_VERSION}},
            )

    def fill(
        self, index: str, items: Iterable[Item], vectors: Mapping[int, Floats], prior: Mapping[int, float]
    ) -> None:
        """Write the items and make them searchable.

        Args:
            index: made by `create`.
            items: the catalogue.
            vectors: item vectors FP32 [dim] by itemid.
            prior: weight of each item among those of the same terms, above 0.

        Raises:
            Unreachable: if Elasticsearch does not answer.
            StoreError: if it refuses an item.
        """
        actions = (
            {
                "_index": index,
                "_id": str(item.itemid),
                "itemid": item.itemid,
                "title": item.title,
                "year": item.year,
                "decade": item.decade,
                "genres": [GENRES[genre] for genre in item.genres],
                "prior": prior[item.itemid],
                "vector": np.asarray(vectors[item.itemid], dtype=np.float32).tolist(),
            }
            for item in items
        )
        self._write(index, actions)

    def weigh(self, index: str, prior: Mapping[int, float]) -> int:
        """Give the items of an index other weights, which searches find all at once; how many had another one.

        Args:
            index: its name.
            prior: weight of each item among those of the same terms, above 0; other items keep theirs.

        Raises:
            Unreachable: if Elasticsearch does not answer.
            StoreError: if it refuses an item.
        """
        others = {
            document.id: prior[document.itemid]
            for document in self.documents(index)
            if document.itemid in prior and not _is_weight(document.fields.get("prior"), prior[document.itemid])
        }
        if others:
            self._write(
                index,
                (
                    {"_op_type": "update", "_index": index, "_id": name, "doc": {"prior": weight}}
                    for name, weight in others.items()
                ),
            )
        return len(others)

    def _write(self, index: str, actions: Iterator[dict[str, Any]]) -> None:
        """Write documents of an index, slowly, and make all of them searchable at once."""
        with self._reachable():
            patient = self._client.options(request_timeout=60)
            try:
                while some := list(islice(actions, CHUNK)):
                    began = time.monotonic()
                    bulk(patient, some)
                    time.sleep(REST * (time.monotonic() - began))
            except BulkIndexError as error:
                raise StoreError(f"Elasticsearch refused items: {error.errors[0]}") from error
            patient.indices.forcemerge(index=index, max_num_segments=1)
            patient.indices.refresh(index=index)

    def count(self, index: str) -> int:
        """Items that can be found in an index.

        Raises:
            Unreachable: if Elasticsearch does not answer.
        """
        with self._reachable():
            return int(self._client.count(index=index)["count"])

    def version(self, index: str) -> int:
        """Version of the layout of an index.

        Raises:
            Unreachable: if Elasticsearch does not answer.
        """
        with self._reachable():
            mapping = self._client.indices.get_mapping(index=index)[index]["mappings"]
        return int(mapping.get("_meta", {}).get("schema_version", FIRST_VERSION))

    def documents(self, index: str) -> Iterator[Document]:
        """All documents of an index, by ascending itemid.

        Raises:
            Unreachable: if Elasticsearch does not answer.
        """
        names = ["itemid", "title", "year", "decade", "genres", "prior", VECTOR]
        after: list[Any] | None = None
        while True:
            with self._reachable():
                answer = self._client.options(request_timeout=60).search(
                    index=index,
                    size=PAGE,
                    sort=[{"itemid": "asc"}, {"_doc": "asc"}],
                    search_after=after,
                    source=False,
                    fields=[{"field": name} for name in names],
                    track_total_hits=False,
                )
            hits = answer["hits"]["hits"]
            for hit in hits:
                values = hit.get("fields", {})
                fields = {
                    name: values.get(name, []) if name == "genres" else next(iter(values.get(name, [])), None)
                    for name in names[:-1]
                }
                yield Document(hit["_id"], fields["itemid"] or 0, fields, values.get(VECTOR, []))
            if len(hits) < PAGE:
                return
            after = hits[-1]["sort"]

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

    def naming(self, field: str, value: int) -> int:
        """Count the documents of all runs in which a field has a value.

        Raises:
            Unreachable: if Elasticsearch does not answer.
        """
        with self._reachable():
            patient = self._client.options(request_timeout=60)
            answer = patient.count(index=f"{self._settings.alias}-*", query={"term": {field: value}})
        return int(answer["count"])

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
            raise Unreachable(
                f"Elasticsearch at {self._settings.url} does not answer ({error}); see `reelstream status`"
            ) from error


def _is_weight(held: Any, weight: float) -> bool:
    """Tell whether a document holds a weight, which Elasticsearch has in 32 bits."""
    return held is not None and np.float32(held) == np.float32(weight)
