"""What `publish` put live: the catalogue, the snapshot and the run, as told by Redis.

reelstream:catalogue   items of the catalogue
reelstream:snapshot    JSON: data_hash, created, events, users, items
reelstream:run         JSON: the run in use; its one switch at publishing is the writing of this key
reelstream:reference   hash run -> JSON: what the runs' inputs, labels and scores were like at training
reelstream:others      hash shard -> the snapshot's counters of each item in all other shards
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import msgpack
from pydantic import BaseModel

from features import Item
from stores.errors import NotPublished
from stores.redis import Client, reachable

CATALOGUE = "reelstream:catalogue"
SNAPSHOT = "reelstream:snapshot"
RUN = "reelstream:run"
PREVIOUS = "reelstream:run:before"
ITEMS = "reelstream:items"
REFERENCE = "reelstream:reference"
OTHERS = "reelstream:others"
KEPT_NOTICES = 10_000


class Snapshot(BaseModel):
    """The offline history that the state began with.

    Attributes:
        data_hash: SHA-256 of the data set.
        created: UTC time, ISO 8601.
        events: offline events folded.
        users: profiles written.
        items: items of the catalogue.
        base: the snapshot of the state, written by `reelstream adopt`, that the log in use follows; None where it
            follows the offline history.
    """

    data_hash: str
    created: str
    events: int
    users: int
    items: int
    base: str | None = None


class LiveRun(BaseModel):
    """The run that answers are made with.

    Attributes:
        run: its id.
        version: version number of its models on Triton.
        index: its Elasticsearch index.
        dim: length of a user or item vector.
        history: events that its encoder sees.
        quality: NDCG@10 of the whole pipeline on validation events.
    """

    run: str
    version: int
    index: str
    dim: int
    history: int
    quality: float


class Published:
    """Reads and writes what is live."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def snapshot(self) -> Snapshot | None:
        """The snapshot, None before the first."""
        packed = self._get(SNAPSHOT)
        return Snapshot.model_validate_json(packed) if packed else None

    def run(self) -> LiveRun | None:
        """The run in use, None before the first."""
        packed = self._get(RUN)
        return LiveRun.model_validate_json(packed) if packed else None

    def catalogue(self) -> dict[int, Item]:
        """The items by id.

        Raises:
            NotPublished: before the first `publish`.
        """
        packed = self._get(CATALOGUE)
        if packed is None:
            raise NotPublished("there is no catalogue yet; run `reelstream publish`")
        return {
            itemid: Item(itemid, title, year, tuple(genres)) for itemid, title, year, genres in msgpack.unpackb(packed)
        }

    def set_catalogue(self, items: dict[int, Item]) -> None:
        """Write the items."""
        rows = [(item.itemid, item.title, item.year, item.genres) for item in items.values()]
        with reachable():
            self.client.set(CATALOGUE, cast(bytes, msgpack.packb(rows)))

    def set_snapshot(self, snapshot: Snapshot) -> None:
        """Say that the snapshot is complete."""
        with reachable():
            self.client.set(SNAPSHOT, snapshot.model_dump_json())

    def previous_run(self) -> LiveRun | None:
        """The run that was in use before, None before the second."""
        packed = self._get(PREVIOUS)
        return LiveRun.model_validate_json(packed) if packed else None

    def switch(self, run: LiveRun, before: LiveRun | None) -> None:
        """Switch to a run, and remember the one before, unless it is the same."""
        with reachable():
            if before is not None and before.run != run.run:
                self.client.set(PREVIOUS, before.model_dump_json())
            self.client.set(RUN, run.model_dump_json())

    def reference(self, run: str) -> Any:
        """The reference of a run as its folder has it; None where it has none."""
        with reachable():
            packed = cast("bytes | None", self.client.hget(REFERENCE, run))
        return json.loads(packed) if packed else None

    def set_reference(self, run: str, text: str, keep: Collection[str]) -> None:
        """Write the reference of a run, and forget those of others than `keep`."""
        with reachable():
            self.client.hset(REFERENCE, run, text)
            known = {each.decode() for each in cast("list[bytes]", self.client.hkeys(REFERENCE))}
            if stale := known - {run, *keep}:
                self.client.hdel(REFERENCE, *stale)

    def others(self, shard: int) -> dict[int, tuple[int, int]] | None:
        """(ratings, likes) of each item in the snapshot's other shards; None where the snapshot does not tell."""
        with reachable():
            packed = cast("bytes | None", self.client.hget(OTHERS, str(shard)))
        if packed is None:
            return None
        return {itemid: (n, likes) for itemid, n, likes in msgpack.unpackb(packed)}

    def set_others(self, shard: int, counters: Mapping[int, tuple[int, int]]) -> None:
        """Write what `others` reads."""
        rows = [(itemid, n, likes) for itemid, (n, likes) in counters.items()]
        with reachable():
            self.client.hset(OTHERS, str(shard), cast(Any, msgpack.packb(rows)))

    def delete_all(self) -> None:
        """Forget the catalogue, the snapshot and the notices; the run stays."""
        with reachable():
            self.client.delete(CATALOGUE, SNAPSHOT, ITEMS, OTHERS)

    def tell_items(self, itemids: Sequence[int]) -> None:
        """Tell those who hold item features in memory that these have changed."""
        with reachable():
            self.client.xadd(ITEMS, {"ids": cast(bytes, msgpack.packb(list(itemids)))}, maxlen=KEPT_NOTICES)

    def last_notice(self) -> str:
        """Position of the last notice, to follow from."""
        with reachable():
            last = cast("list[tuple[bytes, dict[bytes, bytes]]]", self.client.xrevrange(ITEMS, count=1))
        return last[0][0].decode() if last else "0-0"

    def changed_items(self, since: str) -> tuple[str, list[int]]:
        """Items told of after the position `since`, and the position to go on from; does not wait."""
        with reachable():
            found = cast("list[tuple[bytes, dict[bytes, bytes]]]", self.client.xrange(ITEMS, min=f"({since}"))
        itemids: set[int] = set()
        for position, fields in found:
            since = position.decode()
            itemids.update(msgpack.unpackb(fields[b"ids"]))
        return since, sorted(itemids)

    def _get(self, key: str) -> bytes | None:
        with reachable():
            return cast("bytes | None", self.client.get(key))
