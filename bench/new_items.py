"""Items that a benchmark puts, changes and withdraws, each of which a filter finds by a number of its own."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from features import Attribute, Id, IdKind, Item, Schema
from features.ids import ascending
from features.words import TITLE
from settings import ReelstreamError

BEYOND = 1_000
"""Difference of the first number from the greatest of the catalogue."""


def words_of(schema: Schema, item: Item) -> dict[str, object]:
    """Title and attributes of an item as a change of it gives them, without those that follow from others."""
    words: dict[str, object] = {TITLE: item.title} if schema.titled else {}
    for attribute, value in zip(schema.item_attributes, item.values, strict=True):
        if not attribute.of and value is not None:
            words[attribute.name] = attribute.shown(value)
    return words


@dataclass
class NewItems:
    """Items that are like those of the catalogue, but for a number that lies beyond all of theirs.

    Attributes:
        schema: of the data set.
        items: the catalogue.
        rng: chooses which one an item is like.
        attribute: the number.
        first: the first number.
        numbers: of each item that was made.
    """

    schema: Schema
    items: Mapping[Id, Item]
    rng: random.Random
    attribute: Attribute = field(init=False)
    first: int = field(init=False)
    numbers: dict[Id, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        described = self.schema.dataset.items.attributes
        numbers = [each for each in self.schema.item_attributes if each.kind == "number" and not each.of]
        found = next((each for each in numbers if getattr(described[each.name], "maximum", None) is None), None)
        if found is None:
            raise ReelstreamError("the items of this data set have no number without a maximum, which tells new ones")
        self.attribute, place = found, self.schema.item_attributes.index(found)
        known = (item.values[place] for item in self.items.values())
        self.first = BEYOND + int(max((value for value in known if isinstance(value, int | float)), default=0))
        self._ids = ascending(self.items)
        # Of another run of the benchmark, the items are others.
        self._begin = int(time.time()) % 600_000 * 1000

    def make(self) -> tuple[Id, dict[str, object]]:
        """A new item: its id, and its title and attributes."""
        place = len(self.numbers)
        itemid: Id = f"new-{self._begin + place}"
        if self.schema.item_ids is IdKind.INTEGER:
            itemid = 1_500_000_000 + self._begin + place
        self.numbers[itemid] = self.first + place
        return itemid, self.like(itemid, self.rng.choice(self._ids))

    def like(self, itemid: Id, other: Id) -> dict[str, object]:
        """Title and attributes of an item that was made, like those of another one."""
        words = words_of(self.schema, self.items[other]) | {self.attribute.name: self.numbers[itemid]}
        return words | ({TITLE: f"New item {itemid}"} if self.schema.titled else {})

    def from_number(self, number: int, to: int | None = None) -> dict[str, object]:
        """The `filter` of a request for items from a number on."""
        return {self.attribute.name: {"min": number} | ({} if to is None else {"max": to})}
