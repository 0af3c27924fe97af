"""A state of another version than is declared: which one it is, and how its profiles are packed."""

from __future__ import annotations

from dataclasses import dataclass

from features.state_fields import FIELDS_OF, StateFields


@dataclass(frozen=True)
class EarlierState:
    """A state that is not of the declared version: of an earlier release, or of a later one before a return from it.

    Attributes:
        version: its version.
        fields: its fields; None where this release cannot read its profiles.
        declared: the version that this release declares for its data set.
    """

    version: str
    fields: StateFields | None
    declared: str

    @classmethod
    def of(cls, version: str, packed: bytes | None, declared: str) -> EarlierState:
        """A state of some version with its fields as they are stored; None for one from before they were."""
        try:
            fields = StateFields.read(packed) if packed else FIELDS_OF.get(version)
        except ValueError:
            fields = None
        return cls(version, fields if fields is not None and fields.readable else None, declared)

    @property
    def refusal(self) -> str:
        """The reason why nothing is folded into it, and the command that helps."""
        return (
            f"the stored state has the version {self.version}, this release has {self.declared}, as it declares other "
            "counts; run `reelstream rebuild`, which folds the archive and the log again"
        )
