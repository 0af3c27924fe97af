"""The base of the sections of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, PrivateAttr


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    _state: Path | None = PrivateAttr(None)
    """The state folder, where the server that `reelstream up` starts keeps its password or its socket."""

    def within(self, state: Path) -> Self:
        """The same section in a state folder."""
        copy = self.model_copy()
        copy._state = state
        return copy
