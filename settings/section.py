"""The base of the sections of the settings."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, PrivateAttr


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    _state: Path | None = PrivateAttr(None)
    """The state folder, where the server that `reelstream up` starts keeps its password or its socket."""
