"""The documents of items in the indices of runs: written, changed and read."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
from elasticsearch.helpers import BulkIndexError, bulk

from features.catalogue import Item
from features.ids import Id, ascending, id_text
from features.schema import Floats, Schema
from features.stored import FIRST_VERSION
from settings import ElasticsearchSettings
from stores.elasticsearch_cluster import Cluster
from stores.errors import StoreError
from stores.item_documents import LONGEST, UNIT, VECTOR, Document, document, field_names, mapping, read, unit

JSON = {"accept": "application/json", "content-type": "application/json"}

PAGE = 500
"""Documents read at once."""

CHUNK, AT_ONCE = 50, 500
"""Items written at once: where searches are to notice little of it, and otherwise."""

MERGED_EVERY_S = 0.05
"""Seconds between two looks whether an index is one segment."""

WRITE_S = 5.0
"""Least seconds that Elasticsearch gets to write single documents."""

REST = 5.0
"""Rest after them, in times that writing them took, so that searches notice little of an index that is filled."""


class Documents(Cluster):
    """The indices of runs, and their documents; safe to share between threads."""

    def __init__(self, settings: ElasticsearchSettings) -> None:
        super().__init__(settings)
        self._longest_of: dict[str, float | None] = {}

    def is_exact(self, index: str) -> bool:
        """Return True if a search finds the very nearest vectors, in an index without a graph.

        Raises:
            Unreachable: if Elasticsearch does not answer.
        """
        return self._longest(index) is None

    def _longest(self, index: str) -> float | None:
        """Length of the longest vector of an index with a graph, read once; None of one without."""
        if index not in self._longest_of:
            found = self._meta(index).get(LONGEST)
            self._longest_of[index] = None if found is None else float(found)
        return self._longest_of[index]

    def create(self, index: str, schema: Schema, dim: int, items: int, longest: float = 1.0) -> None:
        """Make an index, in place of one of the same name.

        Args:
            index: its name.
            schema: of the data set.
            dim: numbers of a vector.
            items: how many it will hold.
            longest: length of the longest vector.

        Raises:
            Unreachable: if Elasticsearch does not answer.
        """
        self._longest_of.pop(index, None)
        with self._reachable():
            patient = self._client.options(request_timeout=60)
            patient.options(ignore_status=404).indices.delete(index=index)
            patient.indices.create(
                index=index,
                settings={"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1"},
                mappings=mapping(schema, dim, items, longest),
            )

    def fill(
        self,
        index: str,
        schema: Schema,
        items: Iterable[Item],
        vectors: Mapping[Id, Floats],
        prior: Mapping[Id, float],
        *,
        gently: bool = True,
    ) -> None:
        """Write the items and make them searchable.

        Args:
            index: made by `create`.
            schema: of the data set.
            items: the catalogue.
            vectors: item vectors FP32 [dim] by itemid.
            prior: weight of each item among those of the same terms, above 0.
            gently: whether to leave Elasticsearch time for searches meanwhile.

        Raises:
            Unreachable: if Elasticsearch does not answer.
            StoreError: if it refuses an item.
        """
        by_id = {item.itemid: item for item in items}
        # Of equal scores, a search prefers what was written first, and recall in memory the lower id.
        documents = (document(schema, by_id[itemid], vectors[itemid], prior[itemid]) for itemid in ascending(by_id))
        self._write(index, self._indexed(index, documents), gently=gently)

    def _indexed(self, index: str, documents: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Documents as an index takes them: with the vectors of its graph, if it has one."""
        longest = self._longest(index)
        for each in documents:
            graph = {} if longest is None else {UNIT: unit(each[VECTOR], longest).tolist()}
            yield {"_index": index, **each, **graph}

    def weigh(self, index: str, prior: Mapping[Id, float]) -> int:
        """Give the items of an index other weights, which searches find all at once; how many had another one.

        Args:
            index: its name.
            prior: weight of each item among those of the same terms, above 0; other items keep theirs.

        Raises:
            Unreachable: if Elasticsearch does not answer.
            StoreError: if it refuses an item.
        """
        others: dict[str, float] = {}
        for hit in self._hits(index, ["itemid", "prior"]):
            (itemid,), (held,) = (hit.get("fields", {}).get(name, [None]) for name in ("itemid", "prior"))
            if itemid in prior and not _is_weight(held, prior[itemid]):
                others[hit["_id"]] = prior[itemid]
        if others:
            self._write(
                index,
                (
                    {"_op_type": "update", "_index": index, "_id": name, "doc": {"prior": weight}}
                    for name, weight in others.items()
                ),
            )
        return len(others)

    def _write(self, index: str, actions: Iterator[dict[str, Any]], *, gently: bool = True) -> None:
        """Write documents of an index, and make all of them searchable at once."""
        with self._reachable():
            patient = self._client.options(request_timeout=60)
            try:
                while some := list(islice(actions, CHUNK if gently else AT_ONCE)):
                    began = time.monotonic()
                    bulk(patient, some, chunk_size=AT_ONCE)
                    if gently:
                        time.sleep(REST * (time.monotonic() - began))
            except BulkIndexError as error:
                raise StoreError(f"Elasticsearch refused items: {error.errors[0]}") from error
            # Of a large index it takes minutes, in which a connection that says nothing may be cut.
            merging = patient.indices.forcemerge(index=index, max_num_segments=1, wait_for_completion=False)
            # By the plain request: the client's method warns that it is a preview.
            while not patient.perform_request("GET", f"/_tasks/{merging['task']}", headers=JSON).body["completed"]:
                time.sleep(MERGED_EVERY_S)
            patient.indices.refresh(index=index)

    def change(self, index: str, documents: Iterable[dict[str, Any]], removed: Iterable[Id]) -> list[Any]:
        """Write single documents and delete others, which searches find, or miss, once this returns.

        Args:
            index: its name; where there is none by now, nothing is written.
            documents: as `stores.item_documents.document` gives them.
            removed: items whose documents go, if there are any.

        Returns:
            The errors of the documents that Elasticsearch refuses; the others are written.

        Raises:
            Unreachable: if Elasticsearch does not answer.
        """
        delete = ({"_op_type": "delete", "_index": index, "_id": id_text(itemid)} for itemid in removed)
        with self._reachable():
            # To write to an index that was just deleted would make one without a mapping.
            if not self._client.indices.exists(index=index):
                return []
            patient = self._client.options(request_timeout=max(self._settings.timeout_s, WRITE_S))
            write = self._indexed(index, documents)
            _, errors = bulk(patient, chain(write, delete), refresh=True, raise_on_error=False)
        assert isinstance(errors, list)
        return [error for error in errors if error.get("delete", {}).get("status") != 404]

    def rows(self, index: str) -> dict[Id, Floats]:
        """Vector and weight of each item of an index, FP32 [dim + 1].

        Raises:
            Unreachable: if Elasticsearch does not answer.
        """
        fields = (hit.get("fields", {}) for hit in self._hits(index, ["itemid", "prior", VECTOR]))
        return {
            values["itemid"][0]: np.array([*values[VECTOR], values["prior"][0]], dtype=np.float32)
            for values in fields
            if values.keys() >= {"itemid", "prior", VECTOR}
        }

    def size_bytes(self, index: str) -> int:
        """Bytes that an index takes on the disk.

        Raises:
            Unreachable: if Elasticsearch does not answer.
        """
        with self._reachable():
            stats = self._client.indices.stats(index=index, metric="store").body
        return int(stats["_all"]["primaries"]["store"]["size_in_bytes"])

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
        return int(self._meta(index).get("schema_version", FIRST_VERSION))

    def _meta(self, index: str) -> Mapping[str, Any]:
        with self._reachable():
            mapping = self._client.indices.get_mapping(index=index)[index]["mappings"]
        found: Mapping[str, Any] = mapping.get("_meta", {})
        return found

    def uuid(self, index: str) -> str:
        """The id that an index has for as long as it exists; one that is made again has another.

        Raises:
            Unreachable: if Elasticsearch does not answer.
        """
        with self._reachable():
            found = self._client.indices.get_settings(index=index, name="index.uuid")
        return str(found[index]["settings"]["index"]["uuid"])

    def documents(self, index: str, schema: Schema) -> Iterator[Document]:
        """All documents of an index, by ascending itemid.

        Raises:
            Unreachable: if Elasticsearch does not answer.
        """
        for hit in self._hits(index, ["itemid", VECTOR, *field_names(schema)]):
            yield read(hit, schema)

    def _hits(self, index: str, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """All documents of an index with some fields, as Elasticsearch gives them, by ascending itemid."""
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
            yield from hits
            if len(hits) < PAGE:
                return
            after = hits[-1]["sort"]

    def naming(self, field: str, value: Id) -> int:
        """Count the documents of all runs in which a field has a value.

        Raises:
            Unreachable: if Elasticsearch does not answer.
        """
        with self._reachable():
            patient = self._client.options(request_timeout=60)
            answer = patient.count(index=f"{self._settings.alias}-*", query={"term": {field: value}})
        return int(answer["count"])


def _is_weight(held: Any, weight: float) -> bool:
    """Tell whether a document holds a weight, which Elasticsearch has in 32 bits."""
    return held is not None and np.float32(held) == np.float32(weight)
