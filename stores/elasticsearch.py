"""The catalogue in Elasticsearch: one index a run, searched by terms and vector in one request."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from elasticsearch import BadRequestError

from features.ids import Id
from features.schema import Floats, Schema
from scoring import Candidate, Preferences, Source
from scoring.restriction import Condition
from settings import RecallSettings
from stores.elasticsearch_documents import JSON, Documents
from stores.item_documents import VECTOR
from stores.item_search import by_terms, direction, inner_product_score, named, nearest, permitted

NEAR, FEWEST_NEAR, MOST_NEAR = 4, 50, 1000
"""Vectors that are compared by cosine: so many for each item asked for, at least and at most."""


class ItemIndex(Documents):
    """The indices of runs, their documents and searches; safe to share between threads."""

    def recall(
        self,
        index: str,
        schema: Schema,
        vector: Floats | None,
        preferences: Preferences,
        exclude: Collection[Id],
        limits: RecallSettings,
        *,
        conditions: Sequence[Condition] = (),
        sources: bool = False,
        visited: int | None = None,
    ) -> list[Candidate]:
        """Candidates by vector and by terms, without the excluded items, in one request.

        Args:
            index: index of the run.
            schema: of the data set.
            vector: the user vector, FP32 [dim]; None to recall by terms alone.
            preferences: as `scoring.preferences` gives them.
            exclude: items that must not come back.
            limits: how many candidates come from which source; without a vector, all come from the terms.
            conditions: all of which an item must meet to come back.
            sources: whether each tells what each source gave it, for which Elasticsearch scores all of them once more.
            visited: most vectors that the search visits; None for as many as it needs.

        Raises:
            Unreachable: if Elasticsearch does not answer in time.
        """
        among = permitted(schema, exclude, conditions)
        # Beside the query and not within it, where an index without a graph would give all vectors, not the nearest k.
        longest = None if vector is None else self._longest(index)
        knn = None
        if vector is not None:
            knn = nearest(vector, longest, limits, among, visited) | named(Source.VECTOR, sources)
        query = None
        if any(preferences.values()) and (limits.term_k or vector is None):
            query = {"function_score": by_terms(schema, preferences, among) | named(Source.TERMS, sources)}
        if knn is None and query is None:
            return []
        search = {
            "knn": knn,
            "query": query,
            "size": limits.vector_k + limits.term_k,
            # Items are named by what the hits are sorted by, which the search knows by then. To read a stored value of
            # each of 200 hits took a third of its time.
            "sort": ["_score", {"itemid": "asc"}],
            "stored_fields": ["_none_"],
            "track_total_hits": False,
        }
        parameters = {"filter_path": "hits.hits.sort"}
        if sources:
            parameters = {
                "filter_path": "hits.hits.sort,hits.hits.matched_queries",
                "include_named_queries_score": "true",
            }
        hits = self._hits_of(index, {name: part for name, part in search.items() if part is not None}, parameters)
        if not hits:
            self._longest_of.pop(index, None)  # another one of that name may have been made
        found = [Candidate(hit["sort"][1], hit.get("matched_queries", {})) for hit in hits]
        if not sources or vector is None or longest is None:
            return found
        return [
            Candidate(
                itemid,
                {
                    name: inner_product_score(score, vector, longest) if name == Source.VECTOR else score
                    for name, score in scores.items()
                },
            )
            for itemid, scores in found
        ]

    def _hits_of(
        self, index: str, search: Mapping[str, Any], parameters: Mapping[str, str]
    ) -> Sequence[Mapping[str, Any]]:
        """The hits of a search, by the client's plain request; its method `search` takes longer to put one together."""
        with self._reachable():
            try:
                answer = self._client.perform_request(
                    "POST", f"/{index}/_search", params=parameters, headers=JSON, body=search
                )
            except BadRequestError:
                self._longest_of.pop(index, None)  # as above
                raise
        hits: Sequence[Mapping[str, Any]] = answer.body.get("hits", {}).get("hits", [])
        return hits

    def similar(
        self,
        index: str,
        schema: Schema,
        itemid: Id,
        size: int,
        limits: RecallSettings,
        conditions: Sequence[Condition] = (),
    ) -> list[tuple[Id, float]]:
        """The items whose vectors point most nearly the same way as that of one, which is not among them.

        The nearest by inner product, of which there are several times as many, are ordered by cosine.

        Args:
            index: index of the run.
            schema: of the data set.
            itemid: the item.
            size: most items.
            limits: how many vectors a search visits.
            conditions: all of which an item must meet to come back.

        Returns:
            (itemid, cosine), most similar first; none where the index lacks the item.

        Raises:
            Unreachable: if Elasticsearch does not answer in time.
        """
        k = min(max(NEAR * size, FEWEST_NEAR), MOST_NEAR)
        own = self._vectors(index, query={"term": {"itemid": itemid}}, size=1)
        if not own:
            return []
        towards = direction(own[0][1])
        among = permitted(schema, [itemid], conditions)
        knn = nearest(towards, self._longest(index), limits.model_copy(update={"vector_k": k}), among)
        found = self._vectors(index, knn=knn, size=k)
        if not found:
            return []
        cosine = direction(np.stack([vector for _, vector in found])) @ towards
        best = np.argsort(-cosine, kind="stable")[:size].tolist()
        return [(found[place][0], float(cosine[place])) for place in best]

    def _vectors(self, index: str, **search: Any) -> list[tuple[Id, Floats]]:
        """The items that a search finds, with their vectors."""
        with self._reachable():
            answer = self._client.search(
                index=index,
                source=False,
                fields=[{"field": "itemid"}, {"field": VECTOR}],
                track_total_hits=False,
                filter_path="hits.hits.fields",
                **search,
            )
        fields = [hit["fields"] for hit in answer.get("hits", {}).get("hits", [])]
        return [(each["itemid"][0], np.array(each[VECTOR], dtype=np.float32)) for each in fields]
