"""The catalogue as a shard sees it: the changes that it has met, as a layer above what was published.

Of the changes of an item the greatest counts (see `ItemChange.order`), whatever the order in which a shard meets them:
so concurrent changes leave all shards with the same items. An event is counted under the attributes that its item has
at that moment, and the layer keeps each of these revisions, so that the event can be taken back later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from features.catalogue import Item
from features.changes import PUBLISHED, ItemChange, Order, revision
from features.ids import Id


@dataclass(frozen=True, slots=True)
class Changed:
    """An item that was changed.

    Attributes:
        version, order: version and text of the greatest change (see `ItemChange`); the text of a withdrawal is
            WITHDRAWAL.
        item: with the attributes of the greatest change that has some; None if there is none, so that the item is as it
            was published, or unknown.
        withdrawn: True if the greatest change is a withdrawal. The attributes stay those that the item had.
        counted: the item by each revision of its attributes that became current in the shard.
        content: the order of the change that `item` is from; PUBLISHED if there is none.
    """

    version: int
    order: str
    item: Item | None
    withdrawn: bool
    counted: dict[int, Item] = field(default_factory=dict)
    content: Order = PUBLISHED

    @property
    def current(self) -> tuple[int, str, Item | None, Order]:
        """All that shards have in common once they have met the same changes, in any order."""
        return self.version, self.order, self.item, self.content

    @property
    def revision(self) -> int:
        """The number of the attributes that the item has; 0 as published."""
        return revision(self.content[1]) if self.item is not None else 0

    def after(self, change: ItemChange) -> Changed:
        """The item after a change; this one itself where the change is not above what it concerns."""
        changed = self
        if change.order > (self.version, self.order):
            changed = replace(changed, version=change.version, order=change.text, withdrawn=change.withdrawn)
        if change.item is not None and change.order > self.content:
            counted = self.counted | {revision(change.text): change.item}
            changed = replace(changed, item=change.item, content=change.order, counted=counted)
        return changed

    def merged(self, other: Changed) -> Changed:
        """The item after the changes of both."""
        latest = max(self, other, key=lambda changed: (changed.version, changed.order))
        content = max(self, other, key=lambda changed: changed.content)
        counted = self.counted | other.counted
        return replace(latest, item=content.item, content=content.content, counted=counted)


NOT_CHANGED = Changed(*PUBLISHED, item=None, withdrawn=False)


class Layer(Mapping[Id, Item]):
    """The current items: those of the catalogue, as they were changed since; withdrawn ones too, as their facts stay.

    Args:
        base: the catalogue as it was published.
        changed: the items that were changed since.

    Attributes:
        base, changed: the same.

    >>> from features.changes import WITHDRAWAL
    >>> lamp = Item("lamp", "Lamp", (), (), 1)
    >>> layer = Layer({"lamp": lamp})
    >>> layer.apply(ItemChange("lamp", 2, None, WITHDRAWAL)), layer.apply(ItemChange("desk", 2, None, WITHDRAWAL))
    (True, True)
    >>> "lamp" in layer, "desk" in layer, sorted(layer.withdrawn)
    (True, False, ['desk', 'lamp'])
    """

    def __init__(self, base: Mapping[Id, Item], changed: Mapping[Id, Changed] | None = None) -> None:
        self.base = base
        self.changed: dict[Id, Changed] = dict(changed or {})

    def __getitem__(self, itemid: Id) -> Item:
        changed = self.changed.get(itemid)
        return changed.item if changed is not None and changed.item is not None else self.base[itemid]

    def __contains__(self, itemid: object) -> bool:
        if itemid in self.base:
            return True
        changed = self.changed.get(itemid)  # type: ignore[call-overload]
        return changed is not None and changed.item is not None

    def __iter__(self) -> Iterator[Id]:
        yield from self.base
        yield from self._added()

    def __len__(self) -> int:
        return len(self.base) + sum(1 for _ in self._added())

    def __eq__(self, other: object) -> bool:
        """True for a layer of the same changed items, with the same revisions."""
        return isinstance(other, Layer) and self.changed == other.changed and self.base == other.base

    __hash__ = None  # type: ignore[assignment]

    def _added(self) -> Iterator[Id]:
        """Items that were not published."""
        return (
            itemid for itemid, changed in self.changed.items() if changed.item is not None and itemid not in self.base
        )

    def apply(self, change: ItemChange) -> bool:
        """Apply a change; returns True if the item is another one after it."""
        before = self.changed.get(change.itemid, NOT_CHANGED)
        after = before.after(change)
        if after is before:
            return False
        self.changed[change.itemid] = after
        return True

    def version(self, itemid: Id) -> int:
        """The version of the change that counts; 0 for an item as it was published."""
        changed = self.changed.get(itemid)
        return 0 if changed is None else changed.version

    def revision(self, itemid: Id) -> int:
        """The number of the attributes that an item has, under which its next event is counted; 0 as published."""
        changed = self.changed.get(itemid)
        return 0 if changed is None else changed.revision

    def at(self, itemid: Id, revision: int) -> Item:
        """An item with the attributes of a revision.

        Raises:
            KeyError: if the layer does not know the item, or the revision.
        """
        return self.changed[itemid].counted[revision] if revision else self.base[itemid]

    @property
    def withdrawn(self) -> set[Id]:
        """The items that are withdrawn, those that nobody knows included."""
        return {itemid for itemid, changed in self.changed.items() if changed.withdrawn}

    def copy(self) -> Layer:
        """A copy that changes can be applied to while this one stays as it is."""
        return Layer(self.base, self.changed)

    @classmethod
    def merged(cls, layers: Iterable[Layer], base: Mapping[Id, Item] | None = None) -> Layer:
        """The layer of the changes of some shards.

        Args:
            layers: of the shards.
            base: the catalogue as it was published; that of the first layer if None.
        """
        merged = cls({} if base is None else base)
        for place, layer in enumerate(layers):
            if place == 0 and base is None:
                merged.base = layer.base
            for itemid, changed in layer.changed.items():
                other = merged.changed.get(itemid)
                merged.changed[itemid] = changed if other is None else other.merged(changed)
        return merged


Items = Mapping[Id, Item]
"""A catalogue: a plain mapping, which never changes, or a layer."""


def published(items: Items) -> Items:
    """The catalogue as it was published."""
    return items.base if isinstance(items, Layer) else items


def revision_of(items: Items, itemid: Id) -> int:
    """The number of the attributes that an item has; 0 as published."""
    return items.revision(itemid) if isinstance(items, Layer) and items.changed else 0


def item_at(items: Items, itemid: Id, revision: int) -> Item:
    """An item with the attributes of a revision.

    Raises:
        KeyError: if the item or the revision is not known.
    """
    if not revision:
        return published(items)[itemid]
    if not isinstance(items, Layer):
        raise KeyError((itemid, revision))
    return items.at(itemid, revision)
