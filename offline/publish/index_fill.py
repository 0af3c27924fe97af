"""Filling the index of a run with the items as they are: changed and new ones too, without withdrawn ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features import Id, Item, Layer, Schema
from offline import runs
from offline.errors import RunError
from offline.publish.new_items import NEW_PRIOR, new_vectors
from offline.publish.probe import prove_index
from stores import LiveRun, StateStores, StoreError, Unreachable
from stores.elasticsearch import ItemIndex
from stores.item_documents import INDEX_VERSION
from stores.redis.shard_catalogue import read_layers


@dataclass(frozen=True)
class IndexFill:
    """Fills and proves the index of a run.

    Attributes:
        index: a client of Elasticsearch.
        live: the run.
        run: its folder.
        schema: of the data set.
        prior: weights of the items of the ratings.
        check: raises LockLost where another publish has taken over.
        gently: whether to leave Elasticsearch time for searches, as lists are made meanwhile.
        progress: told the share that is done.
    """

    index: ItemIndex
    live: LiveRun
    run: Path
    schema: Schema
    prior: Mapping[Id, float]
    check: Callable[[], None]
    gently: bool
    progress: Callable[[float], None]

    def ensure(self, layer: Layer, changed: Collection[Id]) -> None:
        """Have the index filled and proved; of one that is whole already, only other weights are replaced.

        Args:
            layer: the items.
            changed: those that an index which is in use may hold otherwise than `layer`, or lack.

        Raises:
            RunError: if Elasticsearch does not hold all items, or does not find the nearest.
            Unreachable: if it does not answer.
        """
        index, name = self.index, self.live.index
        self.progress(0.0)
        items = len(layer) - len(layer.withdrawn & layer.keys())
        whole = name in index.indices() and abs(index.count(name) - items) <= len(changed)
        if whole and index.version(name) == INDEX_VERSION:
            try:
                prove_index(index, name, self.run, changed)
                # The weights follow from the ratings, which may lack other users than when it was filled.
                self.check()
                index.weigh(name, self.prior)
                return
            except RunError:
                pass  # damaged, and so filled again
        self.fill(layer)

    def fill_changed(self, before: Layer | None, layer: Layer) -> None:
        """Fill the index again, where the state that was written has other items than the index was filled with.

        Args:
            before: the items before the state was written; None where they are not known.
            layer: the items now.
        """
        if before is None or before.changed or layer.changed:
            self.fill(layer)

    def fill(self, layer: Layer) -> None:
        """Fill the index, whatever is in it, and prove it; raises as `ensure` does."""
        index, name = self.index, self.live.index
        items = [item for itemid, item in layer.items() if itemid not in layer.withdrawn]
        vectors = dict(zip(*runs.item_vectors(self.run), strict=True))
        if new := [item for item in items if item.itemid not in vectors]:
            vectors |= new_vectors(self.run, self.schema, new)
        self.check()
        longest = max((float(np.linalg.norm(vectors[item.itemid])) for item in items), default=0.0) or 1.0
        index.create(name, self.schema, self.live.dim, len(items), longest)
        self.progress(0.1)
        prior = dict.fromkeys(layer, NEW_PRIOR) | dict(self.prior)
        index.fill(name, self.schema, items, vectors, prior, gently=self.gently)
        found = index.count(name)
        if found != len(items):
            raise RunError(f"Elasticsearch holds {found} of {len(items)} items; publish again")
        self.progress(0.9)
        prove_index(index, name, self.run, layer.changed)


def layer_of(state: StateStores, items: Mapping[Id, Item]) -> Layer:
    """The catalogue with all changes that a state holds; as it was published, where there is no state.

    Args:
        state: the state.
        items: the catalogue as the ratings have it.

    Raises:
        Unreachable: if Redis does not answer.
    """
    return Layer(items) if state.published.snapshot() is None else read_layers(state.profiles, items)


def layer_to_delete(state: StateStores, base: Layer) -> Layer | None:
    """The catalogue of a state that is to be deleted; None where it does not tell.

    Raises:
        Unreachable: if Redis does not answer.
    """
    try:
        return layer_of(state, base.base)
    except Unreachable:
        raise
    except (StoreError, ValueError):
        return None
