"""Items as an index of Elasticsearch holds them: the mapping of its fields, and the documents.

Both follow from the attributes of the data set. A category is a keyword, by the name of its value. A number is a
double; where it has buckets, it is the keyword of its bucket too, and the double is in a field of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.attributes import Attribute
from features.catalogue import Item, ItemValue
from features.ids import Id, IdKind, id_text
from features.schema import Floats, Schema

INDEX_VERSION = 3
"""Version of the layout of an index, in its mapping; the first was made without."""

VECTOR = "vector"
"""Field of the vectors."""

UNIT = "unit"
"""Field of the same vectors in an index with a graph, each of length 1 (see `unit`)."""

LONGEST = "longest"
"""Length of the longest vector of an index with a graph, in the mapping's `_meta`."""

FLAT = 10_000
"""Up to so many vectors are compared one by one: here that takes less time than a walk of a graph that finds all."""

GRAPH = {"type": "hnsw", "m": 32, "ef_construction": 200}
"""The graph of more vectors."""


@dataclass(frozen=True, slots=True)
class Document:
    """An item as an index holds it.

    Attributes:
        id: of the document.
        itemid: of the item; None where the document names none.
        fields: as `fields_of` gives them.
        vector: of the item.
    """

    id: str
    itemid: Id | None
    fields: Mapping[str, Any]
    vector: Sequence[float]


def number_field(attribute: Attribute) -> str:
    """Name of the field that holds the number of an attribute; no attribute has a name with a hyphen."""
    return f"{attribute.name}-number" if attribute.values else attribute.name


def mapping(schema: Schema, dim: int, items: int, longest: float = 1.0) -> dict[str, Any]:
    """The mapping of an index.

    Args:
        schema: of the data set.
        dim: numbers of a vector.
        items: how many the index will hold; few are compared one by one, which is exact and takes no graph to build.
        longest: length of the longest vector.
    """
    kind = {"type": "dense_vector", "index": True}
    meta: dict[str, Any] = {"schema_version": INDEX_VERSION}
    vectors: dict[str, Any]
    if items <= FLAT:
        flat = {"similarity": "max_inner_product", "index_options": {"type": "flat"}}
        vectors = {VECTOR: {**kind, "dims": dim, **flat}}
    else:
        graph = {"similarity": "dot_product", "index_options": GRAPH}
        vectors = {VECTOR: {**kind, "dims": dim, "index": False}, UNIT: {**kind, "dims": dim + 1, **graph}}
        meta[LONGEST] = longest
    properties: dict[str, Any] = {
        "itemid": {"type": "integer" if schema.item_ids is IdKind.INTEGER else "keyword"},
        "title": {"type": "text"},
        "prior": {"type": "float"},
        **vectors,
    }
    for attribute in schema.item_attributes:
        if attribute.kind == "text":
            properties[attribute.name] = {"type": "text"}
            continue
        if attribute.kind == "number":
            properties[number_field(attribute)] = {"type": "double"}
        if attribute.categorical or attribute.values:
            properties[attribute.name] = {"type": "keyword"}
    return {"dynamic": "strict", "properties": properties, "_meta": meta}


def unit(vector: Floats, longest: float) -> Floats:
    """A vector made one of length 1, whose inner products with `unit_query` are in the same order.

    A graph of inner products is not one of distances: the longest vectors are near to everything, and a walk does not
    find its way to the others. One more number, which says what a vector lacks of the longest, makes it one (Bachrach
    et al., 2014). A vector that is longer than that is taken to be as long.

    Args:
        vector: of an item, FP32 [dim].
        longest: length of the longest.

    Returns:
        FP32 [dim + 1].
    """
    exact = np.asarray(vector, dtype=np.float64) / longest
    if (length := float(np.linalg.norm(exact))) > 1.0:
        exact /= length
    made = np.append(exact, np.sqrt(max(0.0, 1.0 - float(exact @ exact))))
    found: Floats = (made / np.linalg.norm(made)).astype(np.float32)
    return found


def unit_query(vector: Floats) -> Floats:
    """A user's vector as a graph is searched for it, FP32 [dim + 1] of length 1."""
    length = max(float(np.linalg.norm(vector)), float(np.finfo(np.float32).tiny))
    made: Floats = np.append(np.asarray(vector, dtype=np.float64) / length, 0.0).astype(np.float32)
    return made


def fields_of(schema: Schema, item: Item, prior: float) -> dict[str, Any]:
    """The fields of an item's document, besides its id and its vector; a value that is missing is None.

    A number is the double that the index holds: a whole number beyond 2**53 may be one that no double is.

    Args:
        schema: of the data set.
        item: the item.
        prior: its weight among the items of the same terms, above 0.
    """
    fields: dict[str, Any] = {"title": item.title, "prior": prior}
    for attribute, value in zip(schema.item_attributes, item.values, strict=True):
        fields |= _values(attribute, value)
    return fields


def _values(attribute: Attribute, value: ItemValue) -> Iterator[tuple[str, Any]]:
    if attribute.kind == "number":
        yield number_field(attribute), float(value) if isinstance(value, int | float) else None
    if attribute.categorical or attribute.values:
        names = [attribute.values[code] for code in attribute.codes_of(value)]
        yield attribute.name, names if attribute.kind == "categories" else next(iter(names), None)
    if attribute.kind == "text":
        yield attribute.name, value


def document(schema: Schema, item: Item, vector: Floats, prior: float) -> dict[str, Any]:
    """The document of an item as Elasticsearch takes it, under its id."""
    return {
        "_id": id_text(item.itemid),
        "itemid": item.itemid,
        VECTOR: np.asarray(vector, dtype=np.float32).tolist(),
        **fields_of(schema, item, prior),
    }


def field_names(schema: Schema) -> list[str]:
    """The names of the fields that `fields_of` gives."""
    return [name for name in mapping(schema, 1, 0)["properties"] if name not in {"itemid", VECTOR}]


def read(hit: Mapping[str, Any], schema: Schema) -> Document:
    """The document in a hit of a search that asks for fields."""
    values: Mapping[str, list[Any]] = hit.get("fields", {})
    lists = {attribute.name for attribute in schema.item_attributes if attribute.kind == "categories"}
    fields = {
        name: values.get(name, []) if name in lists else next(iter(values.get(name, [])), None)
        for name in field_names(schema)
    }
    return Document(hit["_id"], next(iter(values.get("itemid", [])), None), fields, values.get(VECTOR, []))
