"""The users of a state of another version, from which lists are made until `reelstream rebuild` has replaced it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from features import Profile
from features.state_fields import StateFields
from stores.errors import OtherVersion, Unreadable
from stores.redis.earlier_state import EarlierState
from stores.redis.packing import unpack_earlier_profile
from stores.redis.profiles import Profiles
from stores.redis.shard_state import Wanted


class EarlierProfiles(Profiles):
    """A generation of another version: its users are read as far as their fields are known, and nobody folds into it.

    Args:
        profiles: the generation.
        earlier: its version and fields.
    """

    def __init__(self, profiles: Profiles, earlier: EarlierState) -> None:
        client, topic, partitions = profiles.client, profiles.topic, profiles.partitions
        super().__init__(client, topic, partitions, profiles.generation, profiles.evicted, profiles.schema)
        self._earlier = earlier
        self._fields: StateFields | None = earlier.fields
        self.readable = self._fields is not None

    def begin(self, shard: int, wanted: Wanted) -> NoReturn:
        """Refuse to fold.

        Raises:
            OtherVersion: always.
        """
        raise OtherVersion(self._earlier.refusal)

    def begin_all(self, wanted: Mapping[int, Wanted]) -> NoReturn:
        """Refuse to fold; raises OtherVersion."""
        raise OtherVersion(self._earlier.refusal)

    def _unpack(self, packed: bytes) -> Profile | None:
        """A user's profile; None where profiles of this version cannot be read."""
        if self._fields is None:
            return None
        return unpack_earlier_profile(self.schema, packed, self._fields.profile, self._fields.layout)

    def _hides(self, packed: bytes) -> bool:
        """Return True if an entry of a seen filter hides its item, also for one of a layout that cannot be read."""
        try:
            return super()._hides(packed)
        except Unreadable:
            return True
