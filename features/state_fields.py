"""The fields of a stored state, stored next to it, by which a release that declares others can serve from it.

Feature rows name their fields themselves, and a seen filter has the items as names. A profile is packed without names:
they are stored once for a state. Only a state of the declared version is folded into.
"""

from __future__ import annotations

from features.schema import Schema
from features.stored import Record
from features.version import FIRST_STATE, PROFILE_LAYOUTS, STATE_LAYOUT


class StateFields(Record):
    """The fields of a state.

    Attributes:
        layout: of what is packed (`features.version.STATE_LAYOUT`).
        profile: names of the fields of a profile, in the order in which they are packed.
    """

    layout: int
    profile: list[str]

    @property
    def readable(self) -> bool:
        """True if this release reads profiles of this layout by their names."""
        return self.layout in PROFILE_LAYOUTS

    @classmethod
    def declared(cls, schema: Schema) -> StateFields:
        """The fields of the states that this release writes."""
        return cls(layout=STATE_LAYOUT, profile=[*schema.profile_fields])


def before_weights(schema: Schema) -> tuple[str, ...]:
    """The fields of profiles that were written before they had weights of terms."""
    return tuple(name for name in schema.profile_fields if name not in schema.weight_fields)


FIELDS_OF = {
    FIRST_STATE: StateFields(
        layout=1,
        profile=[
            *("userid", "version", "n", "likes", "first_ts", "last_ts"),
            *("genre_n", "genre_likes", "decade_n", "decade_likes", "recent"),
        ],
    )
}
"""The fields of states that were written before they were stored, by version."""
