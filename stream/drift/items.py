"""The items that lists may have by now: the catalogue as it was changed, without what is withdrawn."""

from __future__ import annotations

from collections.abc import Mapping

from features.catalogue import Item
from features.changed_columns import ChangedTable
from features.columns import ItemTable
from features.ids import Id
from features.schema import Schema
from stores import Profiles
from stores.redis.shard_catalogue import changes, read_layers


class ListedItems:
    """The items as columns, made again where a shard has met further changes.

    Args:
        schema: of the data set.
        items: the published catalogue.
        profiles: the state in Redis.
    """

    def __init__(self, schema: Schema, items: Mapping[Id, Item], profiles: Profiles) -> None:
        self._published, self._profiles = ItemTable(schema, items), profiles
        self._table = self._published
        self._numbers: list[int] = [0] * profiles.partitions

    def table(self) -> ItemTable:
        """The items as of now.

        Raises:
            Unreadable: if an item that was changed cannot be read.
            Unreachable: if Redis does not answer.
        """
        numbers = changes(self._profiles)
        if numbers != self._numbers:
            layer = read_layers(self._profiles, self._published.items)
            self._table = ChangedTable(self._published, layer, layer.changed.keys(), layer.withdrawn)
            self._numbers = numbers
        return self._table
