"""The result of a verification."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

EXAMPLES = 20
LONGEST = 600
"""Characters of each side of a difference that are shown."""

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0 to 1."""


@dataclass
class Verified:
    """Counts of what was compared, and what differs.

    Attributes:
        events: valid records of the log that were folded.
        changes: changes of items and users among them.
        dead: records of the log that are not valid.
        profiles: users whose profile and seen filter were compared.
        items: items whose counters were compared, in every shard.
        changed: changed items that were compared, each in every shard that has met a change of it.
        waiting: events that wait for their item.
        feature_rows: rows of the feature store that were compared.
        attributes: users whose attributes were compared.
        documents: documents of Elasticsearch that were compared.
        drift_events: events whose counts by drift were compared.
        inputs: events whose inputs of the ranker in the feature log were compared with the oracle.
        sampled: users and items that were compared with the oracle.
        differing: name of what differs -> what was expected and what is stored.
    """

    events: int = 0
    changes: int = 0
    dead: int = 0
    profiles: int = 0
    items: int = 0
    changed: int = 0
    waiting: int = 0
    feature_rows: int = 0
    attributes: int = 0
    documents: int = 0
    drift_events: int = 0
    inputs: int = 0
    sampled: int = 0
    differing: dict[str, str] = field(default_factory=dict)

    @property
    def differences(self) -> int:
        """Number of things that differ."""
        return len(self.differing)

    def check(self, name: str, expected: object, stored: object) -> None:
        """Note a difference, if there is one."""
        if expected != stored:
            self.differing[name] = f"expected {_short(expected)}, stored {_short(stored)}"

    def as_json(self) -> dict[str, object]:
        """The figures as `reelstream verify --json` prints them."""
        names = (
            *("profiles", "items", "changed", "waiting", "feature_rows", "attributes", "documents", "drift_events"),
            *("inputs", "sampled"),
        )
        return {
            "compared": {name: getattr(self, name) for name in names},
            "differences": self.differences,
            "events": self.events,
            "changes": self.changes,
            "dead": self.dead,
            "examples": dict(list(self.differing.items())[:EXAMPLES]),
        }


@dataclass(frozen=True)
class Unreadable:
    """Stands for a stored value that cannot be read; it differs from everything that is expected."""

    reason: str

    def __str__(self) -> str:
        return f"what cannot be read ({self.reason})"


def _short(value: object) -> str:
    try:
        text = str(value)
    except ValueError:
        # Python writes no number of more than 4,300 digits, which weights of terms can have.
        text = "something with a number of thousands of digits"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
