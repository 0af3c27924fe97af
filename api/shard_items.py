"""The items as a user's shard has them, which may be further than the items in memory."""

from __future__ import annotations

from collections.abc import Collection

from api.items import LiveItems
from features import Id, Layer, Profile
from stores import Profiles
from stores.redis.shard_catalogue import read_changed, read_withdrawn


class WithdrawnItems:
    """The withdrawn items of each shard, read again only where the shard's `changes` is another one.

    Safe to share between threads: at worst, two of them read the same.
    """

    def __init__(self) -> None:
        self._read: dict[int, tuple[int, frozenset[Id]]] = {}
        self._left: dict[int, tuple[frozenset[Id], LiveItems, list[Id]]] = {}

    def of(self, profiles: Profiles, shard: int, changes: int, items: LiveItems) -> Collection[Id]:
        """The items that a list of a user of the shard must not have although the items in memory have them.

        Args:
            profiles: the state.
            shard: the user's.
            changes: as it was read with the user's profile; 0 if the shard has met no change.
            items: in memory; those withdrawn among them are in no list anyway.

        Raises:
            Unreachable: if Redis does not answer.
        """
        if not changes:
            return ()
        read = self._read.get(shard)
        if read is None or read[0] != changes:
            # Read after the number, the set may be newer, which does no harm.
            read = self._read[shard] = changes, frozenset(read_withdrawn(profiles, shard))
        withdrawn = read[1]
        left = self._left.get(shard)
        if left is None or left[0] is not withdrawn or left[1] is not items:
            left = self._left[shard] = withdrawn, items, items.listed(withdrawn)
        return left[2]

    def forget(self) -> None:
        """Read all of them again when they are asked for."""
        self._read.clear()


def items_of(profile: Profile, items: LiveItems, profiles: Profiles) -> Layer:
    """The items in memory, with what they lack of a user's last events and of what these were counted under.

    Raises:
        StoreError: if Redis does not answer, or what it holds cannot be read.
    """
    layer = items.layer
    missing = {itemid for _, itemid, _ in profile.recent if itemid not in layer}
    for (_, itemid, _), revision in profile.counted.items():
        changed = layer.changed.get(itemid)
        if changed is None or revision not in changed.counted:
            missing.add(itemid)
    return Layer.merged([layer, read_changed(profiles, layer.base, missing)]) if missing else layer
