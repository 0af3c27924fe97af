"""The files of an offline history.

    schema.json      the schema of the data set (`features.schema.Schema`)
    events.parquet   userid, itemid (INT64 or texts), code, ts (unix seconds): INT64; value: FP64, null where the code
                     tells it, and absent where it always does
    users.parquet    userid, then the codes of the users' attributes: INT64
    items.parquet    itemid, title, then the items' attributes: categories by the names of their values, numbers, texts

Version 1 was of MovieLens-1M and had no schema; its events had a `rating` in place of the code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

import datasets
from features.attributes import Attribute
from features.catalogue import UNKNOWN, Catalogue, Item, ItemValue
from features.ids import Id, IdKind
from features.schema import Schema
from stores.archive.manifest import ErasedTo
from stores.archive.record_file import VERSION_KEY
from stores.errors import ArchiveError

HISTORY_SCHEMA_VERSION = 2
FIRST = 1
"""Version of a history that was written before there were schemas."""

SCHEMA, EVENTS, USERS, ITEMS = "schema.json", "events.parquet", "users.parquet", "items.parquet"

Ints = npt.NDArray[np.int64]
Ids = npt.NDArray[Any]
"""Ids: INT64, or objects where they are texts."""


@dataclass(frozen=True)
class OfflineHistory:
    """The events before the log, and the catalogue.

    Attributes:
        schema: of the data set.
        userid, itemid: INT64 [events], or objects [events] where ids are texts.
        code, ts: INT64 [events]; `ts` in unix seconds.
        catalogue: items and users by id.
        data_hash: SHA-256 of the data set that they were read from.
        erased, erased_to: as in the manifest.
        value: of the events, FP64 [events], NaN where the code tells it; None where it always does.
    """

    schema: Schema
    userid: Ids
    itemid: Ids
    code: Ints
    ts: Ints
    catalogue: Catalogue
    data_hash: str
    erased: int = 0
    erased_to: ErasedTo = field(default_factory=dict)
    value: npt.NDArray[np.float64] | None = None


def pack(history: OfflineHistory) -> dict[str, bytes]:
    """The content of each file."""
    schema, catalogue = history.schema, history.catalogue
    users, items = list(catalogue.users.values()), list(catalogue.items.values())
    events = {
        "userid": _ids(history.userid.tolist(), schema.user_ids),
        "itemid": _ids(history.itemid.tolist(), schema.item_ids),
        "code": pa.array(history.code, pa.int64()),
        "ts": pa.array(history.ts, pa.int64()),
    }
    if history.value is not None and not np.isnan(history.value).all():
        events["value"] = pa.array(history.value, pa.float64(), from_pandas=True)
    return {
        SCHEMA: schema.to_json().encode(),
        EVENTS: _packed(events),
        USERS: _packed(
            {
                "userid": _ids([user.userid for user in users], schema.user_ids),
                **{
                    attribute.name: pa.array([user.codes[place] for user in users], pa.int64())
                    for place, attribute in enumerate(schema.user_attributes)
                },
            }
        ),
        ITEMS: _packed(
            {
                "itemid": _ids([item.itemid for item in items], schema.item_ids),
                "title": pa.array([item.title for item in items], pa.string()),
                **{
                    attribute.name: _item_column(attribute, [item.values[place] for item in items])
                    for place, attribute in enumerate(schema.item_attributes)
                },
            }
        ),
    }


def unpack(contents: Mapping[str, bytes], data_hash: str, erased: int, erased_to: ErasedTo) -> OfflineHistory:
    """The history in the content of its files.

    Raises:
        ArchiveError: if they have another version.
    """
    schema = schema_of(contents.get(SCHEMA))
    events, users, items = (_table(name, contents) for name in (EVENTS, USERS, ITEMS))
    code, ts = (
        np.ascontiguousarray(events.column(name).to_numpy())
        for name in ("code" if SCHEMA in contents else "rating", "ts")
    )
    value = np.full(len(code), np.nan)
    if "value" in events.column_names:
        value = events.column("value").to_numpy(zero_copy_only=False)
    names = [attribute.name for attribute in schema.user_attributes]
    catalogue = Catalogue.of(
        (_item(schema, row) for row in items.to_pylist()),
        (schema.user(row["userid"], tuple(row[name] for name in names)) for row in users.to_pylist()),
        len(names),
    )
    ids = (_id_column(events.column("userid"), schema.user_ids), _id_column(events.column("itemid"), schema.item_ids))
    return OfflineHistory(schema, *ids, code, ts, catalogue, data_hash, erased, erased_to, value)


def schema_of(content: bytes | None) -> Schema:
    """The schema in the content of its file, None for a history of the first version, which had none.

    Raises:
        ArchiveError: if it has another version.
    """
    if content is None:
        return datasets.first_schema()
    try:
        return Schema.from_json(content.decode())
    except ValueError as error:
        raise ArchiveError(
            f"{SCHEMA} of the archive is of another release: {error}; use the one that wrote it"
        ) from None


def _item(schema: Schema, row: Mapping[str, Any]) -> Item:
    values = tuple(_item_value(attribute, _stored(attribute, row)) for attribute in schema.item_attributes)
    return schema.item(row["itemid"], row["title"], values)


def _stored(attribute: Attribute, row: Mapping[str, Any]) -> Any:
    """An attribute as a row has it; the version 1 lacks what is derived from another one."""
    return row[attribute.name if attribute.name in row else attribute.of]


def _item_value(attribute: Attribute, stored: Any) -> ItemValue:
    if attribute.kind == "categories":
        return tuple(attribute.codes[name] for name in stored)
    if attribute.kind == "category":
        return UNKNOWN if stored is None else attribute.codes[stored]
    value: float | str | None = stored
    return value


def _item_column(attribute: Attribute, values: Sequence[ItemValue]) -> Any:
    if attribute.kind == "number":
        return pa.array(values, pa.int64() if attribute.whole else pa.float64())
    if attribute.kind == "categories":
        return pa.array([attribute.shown(value) for value in values], pa.list_(pa.string()))
    return pa.array([attribute.shown(value) for value in values], pa.string())


def _ids(ids: Iterable[Id], kind: IdKind) -> Any:
    return pa.array(list(ids), pa.int64() if kind is IdKind.INTEGER else pa.string())


def _id_column(column: Any, kind: IdKind) -> Ids:
    if kind is IdKind.INTEGER:
        return np.ascontiguousarray(column.to_numpy())
    ids: Ids = column.to_numpy(zero_copy_only=False)
    return ids


def _packed(columns: Mapping[str, Any]) -> bytes:
    table = pa.table(columns).replace_schema_metadata({VERSION_KEY: str(HISTORY_SCHEMA_VERSION).encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _table(name: str, contents: Mapping[str, bytes]) -> Any:
    table = pq.read_table(pa.BufferReader(contents[name]))
    version = (table.schema.metadata or {}).get(VERSION_KEY, b"").decode(errors="replace")
    if version != str(HISTORY_SCHEMA_VERSION if SCHEMA in contents else FIRST):
        raise ArchiveError(
            f"{name} of the archive has the schema version {version or 'none'}, this release reads up to "
            f"{HISTORY_SCHEMA_VERSION}; use the release that wrote it"
        )
    return table
