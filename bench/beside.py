"""An empty generation of the state beside the live one, into which benchmarks fold as a worker does."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import datasets
from features import Event, Id, Item
from lifecycle.catch_up import without_letters
from offline.state.snapshot import delete_generation
from settings import Settings
from stores import Generations, Logged, StateStores, partition_of
from stores.feast.feature_rows import FeatureRows
from stores.redis.connection import Client, reachable
from stream.fold.event_path import Fold
from stream.fold.stores import FoldStores
from stream.troubles import Troubles

BATCH = 500
"""Events folded together."""


def catalogue(size: int) -> Mapping[Id, Item]:
    """So many films, each of 1990 and of one genre."""
    schema = datasets.first_schema()
    return {
        itemid: schema.item(itemid, f"Item {itemid}", (1990, (itemid % 18,), 1990)) for itemid in range(1, size + 1)
    }


@contextmanager
def generation(settings: Settings) -> Iterator[StateStores]:
    """A new generation, which is deleted afterwards."""
    client = StateStores.live(settings).profiles.client
    name = Generations(client).begin()
    try:
        yield StateStores.of(settings, name, client)
    finally:
        delete_generation(settings, name)


class Beside:
    """Folds events of films into a generation of the state.

    Attributes:
        state: the generation.
        schema: of MovieLens-1M.
        rows: its feature rows.

    Args:
        settings: all settings.
        state: the generation, without users.
        items: the catalogue.
    """

    def __init__(self, settings: Settings, state: StateStores, items: Mapping[Id, Item]) -> None:
        self.state, self.schema = state, datasets.first_schema()
        self.rows = FeatureRows(settings, self.schema, state.generation)
        state.published.begin_snapshot("a benchmark", self.schema)
        stores = FoldStores(
            self.schema, items, state.profiles, self.rows, without_letters, Troubles(lambda kind, n: None)
        )
        waiting = settings.catalogue.waiting_events
        self._fold = Fold(stores, settings.stream.max_future_s, lambda shard, first, end: (), waiting_events=waiting)
        self._ends = [0] * state.profiles.partitions

    def fold(self, events: Sequence[Event]) -> float:
        """Fold events, BATCH at once; the seconds that it took."""
        seconds = 0.0
        for start in range(0, len(events), BATCH):
            batch = self._records(events[start : start + BATCH])
            began = time.monotonic()
            _, refused = self._fold(batch)
            seconds += time.monotonic() - began
            for error in refused.values():
                raise error
        return seconds

    def _records(self, events: Sequence[Event]) -> dict[int, list[Logged]]:
        """Events as records that follow those before them, by shard."""
        records: dict[int, list[Logged]] = {}
        for event in events:
            shard = partition_of(event.userid, len(self._ends))
            encoded = self.schema.events.encode(event)
            records.setdefault(shard, []).append(Logged(shard, self._ends[shard], *encoded, (), float(event.ts)))
            self._ends[shard] += 1
        return records


def used_bytes(client: Client) -> int:
    """Bytes that Redis's values and keys take."""
    with reachable():
        return int(cast("dict[str, Any]", client.info("memory"))["used_memory"])
