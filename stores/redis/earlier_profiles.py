"""The users of a state of another version, from which lists are made until `reelstream rebuild` has replaced it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NoReturn

from features import Profile
from features.state_fields import StateFields
from stores.errors import OtherVersion
from stores.redis.earlier_state import EarlierState
from stores.redis.packing import unpack_earlier_profile
from stores.redis.profiles import Profiles


class EarlierProfiles(Profiles):
    """A generation of another version: its users are read as far as their fields are known, and nobody folds into it.

    Args:
        profiles: the generation.
        earlier: its version and fields.
    """

    def __init__(self, profiles: Profiles, earlier: EarlierState) -> None:
        super().__init__(profiles.client, profiles.topic, profiles.partitions, profiles.generation, profiles.evicted)
        self._earlier = earlier
        self._fields: StateFields | None = earlier.fields
        self.readable = self._fields is not None

    def begin(self, shard: int, pairs: Iterable[tuple[int, int]], userids: Collection[int] = ()) -> NoReturn:
        """Refuse to fold.

        Raises:
            OtherVersion: always.
        """
        raise OtherVersion(self._earlier.refusal)

    def _unpack(self, packed: bytes) -> Profile | None:
        """A user's profile; None where profiles of this version cannot be read."""
        return None if self._fields is None else unpack_earlier_profile(packed, self._fields.profile)
