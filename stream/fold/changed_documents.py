"""The documents of changed items, in the index of the run that is live."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from features.catalogue import Item
from features.ids import Id
from features.layer import Layer
from features.schema import Schema
from settings import Settings
from stores import LiveRun, Profiles, StateStores
from stores.item_documents import document
from stores.redis.shard_catalogue import read_layers
from stores.run_items import RunItems

if TYPE_CHECKING:
    from stores.elasticsearch import ItemIndex  # it takes a second to load


class ChangedDocuments:
    """Writes the documents of changed items; those of withdrawn ones are deleted.

    Once another run is live, or another generation of the state, or the run's index was made again, the documents of
    all changed items are written again: the index may have been filled before some of the changes. Otherwise an item is
    left out that is as it was written, as those are whose counters alone changed.

    Args:
        settings: all settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._index: ItemIndex | None = None
        self._written: tuple[Profiles, LiveRun] | None = None
        self._uuid = ""
        self._as_written: dict[Id, object] = {}
        self._items: tuple[LiveRun, RunItems] | None = None

    def complete(self, state: StateStores) -> bool:
        """Tell whether the live run's index was written for this generation, so that only new changes are left.

        Raises:
            OtherVersion: if the live run is of another release.
            Unreachable: if Redis does not answer.
        """
        run = state.published.run()
        return run is None or self._written == (state.profiles, run)

    def pending(self, layer: Layer, itemids: Iterable[Id]) -> list[Id]:
        """The changed ones among some items, without those whose documents were written as they are."""
        changed = layer.changed
        return [
            itemid
            for itemid in itemids
            if itemid in changed and self._as_written.get(itemid) != changed[itemid].current
        ]

    def write(
        self, state: StateStores, schema: Schema, items: Mapping[Id, Item], layer: Layer, itemids: Iterable[Id]
    ) -> list[Any]:
        """Write the documents of changed items among some, or of all; searches find them once this returns.

        Args:
            state: the generation that is live.
            schema: of the data set.
            items: the catalogue as it was published.
            layer: with the changes of `itemids`.
            itemids: the items.

        Returns:
            The errors of documents that Elasticsearch refuses.

        Raises:
            NotPublished: if Redis has lost the ids of the live run.
            OtherVersion: if the live run, or what is stored of it, is of another release.
            Unreachable: if a store does not answer.
        """
        run = state.published.run()
        if run is None:
            return []
        index = self._opened()  # before there is anything to write, as it takes a second
        chosen = [itemid for itemid in itemids if itemid in layer.changed]
        if not chosen and self._written == (state.profiles, run):
            return []
        # Before anything is written: of an index that is made again meanwhile, all is written the next time.
        uuid = index.uuid(run.index)
        if self._written != (state.profiles, run) or uuid != self._uuid:
            self._as_written = {}
            layer = read_layers(state.profiles, items)
            chosen = list(layer.changed)
        chosen = self.pending(layer, chosen)
        refused = self._write(index, state, schema, run, layer, chosen) if chosen else []
        if not refused and self._items is not None and not self._items[1].provisional:
            self._as_written |= {itemid: layer.changed[itemid].current for itemid in chosen}
        self._written, self._uuid = (state.profiles, run), uuid
        return refused

    def _opened(self) -> ItemIndex:
        # Imported late: the workers of other partitions never write a document.
        from stores.elasticsearch import ItemIndex

        if self._index is None:
            self._index = ItemIndex(self._settings.elasticsearch)
        return self._index

    def _write(
        self, index: ItemIndex, state: StateStores, schema: Schema, run: LiveRun, layer: Layer, itemids: Sequence[Id]
    ) -> list[Any]:
        if self._items is None or self._items[0] != run or self._items[1].provisional:
            self._items = run, RunItems.of(state.published, run, state.ids(run), layer.base, index)
        there = {itemid for itemid in itemids if itemid in layer and not layer.changed[itemid].withdrawn}
        present = [layer[itemid] for itemid in itemids if itemid in there]
        documents = (
            document(schema, item, vector, prior)
            for item, (vector, prior) in zip(present, self._items[1].rows(schema, present), strict=True)
        )
        return index.change(run.index, documents, [itemid for itemid in itemids if itemid not in there])
