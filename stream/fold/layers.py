"""The catalogue as each shard knows it, in the worker's memory."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from features.catalogue import Item
from features.ids import Id
from features.layer import Items, Layer
from stores import OtherVersion, ShardLost, ShardState, Unreadable
from stores.redis.profiles import Profiles
from stores.redis.shard_catalogue import Unpacked, read_numbered_layer


class ShardLayers:
    """The items that each shard knows, read again where another worker has changed them.

    Args:
        profiles: the state in Redis.
        base: the published catalogue.
    """

    def __init__(self, profiles: Profiles, base: Mapping[Id, Item]) -> None:
        self._profiles, self._base = profiles, base
        self._layers: dict[int, tuple[int, Layer]] = {}

    def read_all(self) -> None:
        """Read the items of all shards that can be read, before any is asked for.

        It takes little longer than for one shard, as most changes are in all of them; read one by one, they would have
        the first batches of a worker wait. A shard that cannot be read raises when it is asked for.
        """
        unpacked: Unpacked = {}
        for shard in range(self._profiles.partitions):
            with suppress(Unreadable, OtherVersion):
                self._layers[shard] = read_numbered_layer(self._profiles, shard, self._base, unpacked)

    def items(self, shard: int, state: ShardState) -> Items:
        """The items as of a state, for a fold that does not change them; where none was changed, a plain mapping.

        Raises:
            ShardLost: if another worker changes them at this moment.
            Unreadable: if a changed item cannot be read.
            Unreachable: if Redis does not answer.
        """
        if not state.changes:
            return self._base
        number, layer = self._layers.get(shard, (0, None))
        if layer is None or number != state.changes:
            layer = self._read(shard, state)
            self._layers[shard] = state.changes, layer
        return layer

    def take(self, shard: int, state: ShardState) -> Layer:
        """The items as of a state, for a fold that changes them; kept only by `put`. Raises as `items` does."""
        number, layer = self._layers.pop(shard, (0, None))
        if layer is not None and number == state.changes:
            return layer
        return self._read(shard, state) if state.changes else Layer(self._base)

    def put(self, shard: int, changes: int, layer: Layer) -> None:
        """Keep the items of a shard, whose number of changes is committed."""
        self._layers[shard] = changes, layer

    def _read(self, shard: int, state: ShardState) -> Layer:
        number, layer = read_numbered_layer(self._profiles, shard, self._base)
        if number != state.changes:
            raise ShardLost(f"shard {state.tag} was changed by another worker; this one stops")
        return layer
