"""The comparison of a run's index with the run's folder and the catalogue, while items change too.

Documents are written a moment after the state. Those of items that changed while the index was read, or that are not
published yet, are looked at again. A difference about another changed item is one if it is still there at the next
look.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from features import Id, Item, Layer, Schema, id_text
from offline import runs
from offline.data.readers import Ratings
from offline.data.split import split
from offline.data.term_prior import term_prior
from offline.errors import RunError
from offline.publish.probe import prove_index
from scoring.metadata import Regression
from settings import Settings
from stores import LiveRun, Published, Unreachable
from stores.elasticsearch import ItemIndex
from stores.item_documents import INDEX_VERSION, Document, fields_of
from stores.run_items import NEW_PRIOR
from verify.reading import read_one
from verify.report import Progress, Unreadable, Verified

PAUSE_S = 0.3
"""Seconds between two looks, in which a worker publishes what changed."""

Vector = npt.NDArray[np.float32]

Catalogue = Callable[[], tuple[Layer, set[Id]]]
"""Gives the items as the shards know them together, and those that may not be published yet as they are there."""


@dataclass(frozen=True)
class Written:
    """The vectors and weights with which documents are written.

    Attributes:
        schema: of the data set.
        vectors: of the items that the run was trained with.
        prior: weights of items.
        regression: gives vectors to other items.
    """

    schema: Schema
    vectors: Mapping[Id, Vector]
    prior: Mapping[Id, float]
    regression: Regression

    @classmethod
    def of(cls, settings: Settings, folder: Path, ratings: Ratings) -> Written:
        """Those of a run, from its folder; raises RunError if it is malformed."""
        prior = term_prior(ratings, split(ratings, settings.data).offline)
        vectors = dict(zip(*runs.item_vectors(folder), strict=True))
        return cls(ratings.schema, vectors, prior, runs.regression(folder))

    def vector(self, item: Item) -> Vector:
        """The vector of an item."""
        known = self.vectors.get(item.itemid)
        vector: Vector = self.regression.vectors(self.schema, [item])[0] if known is None else known
        return vector

    def weight(self, itemid: Id) -> float:
        """The weight of an item, as Elasticsearch holds it, in 32 bits."""
        known = itemid in self.vectors
        return float(np.float32(self.prior.get(itemid, NEW_PRIOR) if known else NEW_PRIOR))

    def compare(self, published: Published, run: LiveRun, result: Verified) -> None:
        """Compare what Redis holds for documents that are to come; nothing, where an earlier release published."""
        stored = read_one(lambda: published.regression(run.run))
        if stored is None:
            return
        held = stored if isinstance(stored, Unreadable) else stored.pack()
        if held != self.regression.pack():
            result.check(f"regression of the live run {run.run}", "that of the run's folder", stored)
        rows = read_one(lambda: published.item_rows(run.run, range(1, len(self.vectors) + 1), run.dim))
        for place, (itemid, vector) in enumerate(self.vectors.items()):
            row = rows if isinstance(rows, Unreadable) else rows[place]
            wanted = np.append(vector, np.float32(self.weight(itemid)))
            found = row.tolist() if isinstance(row, np.ndarray) else row
            result.check(f"vector of item {itemid} for the live run {run.run}", wanted.tolist(), found)


class IndexComparison:
    """Compares each document of a run's index, and what a search finds.

    Args:
        settings: all settings.
        run: the run.
        written: the vectors and weights of its documents.
        folder: its folder.
        catalogue: the items as they are now.
        wait_s: seconds that documents get to follow the state.
        progress: told of how far it is.
    """

    def __init__(
        self,
        settings: Settings,
        run: LiveRun,
        written: Written,
        folder: Path,
        catalogue: Catalogue,
        wait_s: float,
        progress: Progress,
    ) -> None:
        self._settings, self._run, self._written = settings, run, written
        self._folder, self._catalogue = folder, catalogue
        self._wait_s, self._progress = wait_s, progress

    def compare(self, result: Verified) -> None:
        """Compare all of it.

        Raises:
            Unreachable: if Elasticsearch does not answer, or documents change faster than they can be compared.
        """
        index = ItemIndex(self._settings.elasticsearch)
        try:
            if self._run.index not in index.indices():
                result.check(f"index {self._run.index}", "an index", None)
                return
            layer = self._documents(index, result)
            self._index(index, layer, result)
        finally:
            index.close()

    def _documents(self, index: ItemIndex, result: Verified) -> Layer:
        """Compare all documents; the items as they were at the last look."""
        until = time.monotonic() + self._wait_s
        doubted: set[Id] = set()
        first, _ = self._catalogue()
        while True:
            layer, unpublished = self._catalogue()
            found, differing = self._look(index, layer)
            then, unpublished_then = self._catalogue()
            # Items are marked for their counters too, of which documents have none.
            unsettled = (unpublished | unpublished_then) & then.changed.keys() | changed_between(layer, then)
            again = {
                itemid
                for itemid in differing
                if itemid in unsettled or (itemid in then.changed and itemid not in doubted)
            }
            if not again:
                break
            if time.monotonic() > until:
                if moving := again & changed_between(first, then):
                    raise Unreachable(
                        f"the documents of {len(moving)} items still change after {self._wait_s:.0f} s; run "
                        "`reelstream verify` again once fewer items change"
                    )
                break
            doubted = again - unsettled
            time.sleep(PAUSE_S)
        result.documents += found.documents
        result.differing |= found.differing
        for of_item in differing.values():
            result.differing |= of_item
        if not unsettled:
            present = len(layer) - sum(itemid in layer for itemid in layer.withdrawn)
            result.check(f"count of {self._run.index}", present, index.count(self._run.index))
        return then

    def _look(self, index: ItemIndex, layer: Layer) -> tuple[Verified, dict[Id, dict[str, str]]]:
        """Compare each document with its item.

        Returns:
            What was compared, with documents of no item; and what differs about items.
        """
        found, differing = Verified(), dict[Id, dict[str, str]]()
        withdrawn, schema = layer.withdrawn, self._written.schema
        missing = {itemid for itemid in layer if itemid not in withdrawn}
        for document in index.documents(self._run.index, schema):
            itemid = document.itemid
            name, of_document = f"document {document.id} of {self._run.index}", Verified()
            if itemid is None or id_text(itemid) != document.id:
                found.check(name, None, document.fields)
                continue
            if itemid not in layer or itemid in withdrawn:
                of_document.check(name, None, document.fields)
            else:
                missing.discard(itemid)
                self._compare_document(name, document, layer[itemid], of_document)
                found.documents += 1
            if of_document.differing:
                differing[itemid] = differing.get(itemid, {}) | of_document.differing
            self._progress(f"comparing {self._run.index}", found.documents / max(1, len(layer)))
        for itemid in missing:
            of_document = Verified()
            of_document.check(f"document {itemid} of {self._run.index}", "a document", None)
            differing[itemid] = of_document.differing
        return found, differing

    def _compare_document(self, name: str, document: Document, item: Item, result: Verified) -> None:
        """Compare a document with the item of its id, and with the item's vector."""
        expected = fields_of(self._written.schema, item, self._written.weight(item.itemid))
        held = document.fields["prior"]
        result.check(name, expected, {**document.fields, "prior": None if held is None else float(np.float32(held))})
        vector = self._written.vector(item)
        if not np.array_equal(np.array(document.vector, dtype=np.float32), vector):
            result.check(f"vector of {name}", vector.tolist(), document.vector)

    def _index(self, index: ItemIndex, layer: Layer, result: Verified) -> None:
        """Compare what is not of one document."""
        run = self._run
        result.check(f"version of {run.index}", INDEX_VERSION, index.version(run.index))
        result.check(f"alias {self._settings.elasticsearch.alias}", [run.index], index.behind_alias())
        try:
            prove_index(index, run.index, self._folder, layer.changed.keys())
        except (RunError, KeyError) as error:
            result.check(f"search in {run.index}", "the items nearest to the users of the probe", error)


def changed_between(before: Layer, after: Layer) -> set[Id]:
    """The items that are not the same in two layers, of which the second is the later one."""
    return {
        itemid
        for itemid, changed in after.changed.items()
        if itemid not in before.changed or before.changed[itemid].current != changed.current
    }
