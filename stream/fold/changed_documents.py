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
from stores.redis.shard_catalogue import read_changed, read_layers
from stores.run_items import RunItems

if TYPE_CHECKING:
    from stores.elasticsearch import ItemIndex  # it takes a second to load


AT_ONCE = 200
"""Documents of earlier changes that are written at once. The next change waits for these, and not for all of them."""


class ChangedDocuments:
    """Writes the documents of changed items; those of withdrawn ones are deleted.

    The index of the live run may have been filled before some of the changes. So the documents of all changed items are
    written when this is new, when another run is live, or another generation of the state, and when the run's index was
    made again. From then on an item is left out that is as it was written, as those are whose counters alone changed.

    Args:
        settings: all settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._index: ItemIndex | None = None
        self._of: tuple[Profiles, LiveRun | None] | None = None
        self._uuid = ""
        self._as_written: dict[Id, object] = {}
        self._earlier: list[Id] | None = None
        self._items: tuple[LiveRun, RunItems] | None = None

    @property
    def waits(self) -> bool:
        """True while documents of earlier changes are left to write."""
        return self._earlier is None or bool(self._earlier)

    def pending(self, layer: Layer, itemids: Iterable[Id]) -> list[Id]:
        """The changed ones among some items, without those whose documents were written as they are."""
        changed = layer.changed
        return [
            itemid
            for itemid in itemids
            if itemid in changed and self._as_written.get(itemid) != changed[itemid].current
        ]

    def write(self, state: StateStores, schema: Schema, layer: Layer, itemids: Iterable[Id]) -> list[Any]:
        """Write the documents of the changed items among some; searches find them once this returns.

        Args:
            state: the generation that is live.
            schema: of the data set.
            layer: with the changes of `itemids`.
            itemids: the items.

        Returns:
            The errors of documents that Elasticsearch refuses.

        Raises:
            NotPublished: if Redis has lost the ids of the live run.
            OtherVersion: if the live run, or what is stored of it, is of another release.
            Unreachable: if a store does not answer.
        """
        run = self._follow(state)
        itemids = [itemid for itemid in itemids if itemid in layer.changed]
        if run is None or not itemids:
            return []
        index = self._opened()
        # Before anything is written: of an index that is made again meanwhile, all is written the next time.
        uuid = index.uuid(run.index)
        if self._uuid not in ("", uuid):
            self._as_written, self._earlier = {}, None
        self._uuid = uuid
        if not (chosen := self.pending(layer, itemids)):
            return []
        refused = self._write(index, state, schema, run, layer, chosen)
        if not refused and self._items is not None and not self._items[1].provisional:
            self._as_written |= {itemid: layer.changed[itemid].current for itemid in chosen}
        return refused

    def write_earlier(self, state: StateStores, schema: Schema, items: Mapping[Id, Item]) -> list[Any]:
        """Write some more of the documents of earlier changes, until none is left; as `write` does.

        Args:
            state: the generation that is live.
            schema: of the data set.
            items: the catalogue as it was published.
        """
        if self._earlier is None:
            self._earlier = list(read_layers(state.profiles, items).changed)
        some = self._earlier[:AT_ONCE]
        refused = self.write(state, schema, read_changed(state.profiles, items, some), some)
        if self._earlier is not None:
            self._earlier = self._earlier[len(some) :]
        return refused

    def _follow(self, state: StateStores) -> LiveRun | None:
        """The live run; all is to be written again where it is another one, or of another generation."""
        run = state.published.run()
        if self._of != (state.profiles, run):
            self._of, self._uuid, self._as_written = (state.profiles, run), "", {}
            self._earlier = None if run else []
        return run

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
