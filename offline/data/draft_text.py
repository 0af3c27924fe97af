"""The text of a TOML file with comments."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from datetime import datetime

WIDTH = 118
ASSUMED = "Assumed"
"""Word with which the comment of an assumption begins."""


class Toml:
    """Builds the text of a TOML file.

    Attributes:
        assumed: the assumptions that were noted.

    >>> toml = Toml()
    >>> toml.assume("a guess")
    >>> toml.table("items", {"ids": "string", "keys": ["a", "b"]})
    >>> print(toml.text, end="")
    # Assumed: a guess
    [items]
    ids = "string"
    keys = ["a", "b"]
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self.assumed: list[str] = []

    @property
    def text(self) -> str:
        """The whole text."""
        return "\n".join(self._lines).strip("\n") + "\n"

    def comment(self, words: str) -> None:
        """Add a comment."""
        self._lines += textwrap.wrap(words, WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False)

    def assume(self, words: str) -> None:
        """Add a comment that states an assumption."""
        self.comment(f"{ASSUMED}: {words}")
        self.assumed.append(words)

    def gap(self) -> None:
        """Add an empty line."""
        self._lines.append("")

    def keys(self, keys: Mapping[str, object]) -> None:
        """Add keys with their values."""
        self._lines += [f"{_key(key)} = {_value(value)}" for key, value in keys.items()]

    def table(self, name: str, keys: Mapping[str, object], *, array: bool = False) -> None:
        """Add a table, or one of an array of tables, with its keys."""
        self._lines.append(f"[[{name}]]" if array else f"[{name}]")
        self.keys(keys)


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if bare else json.dumps(key, ensure_ascii=False)


def _value(value: object) -> str:
    """A value as TOML has it."""
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_key(key)} = {_value(inner)}' for key, inner in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _string(text: str) -> str:
    """A text; a pattern as a literal string, in which nothing is escaped."""
    if "\\" in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
