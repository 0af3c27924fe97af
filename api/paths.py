"""Ids in paths, which may hold any character, a slash included."""

from __future__ import annotations

from urllib.parse import unquote, unquote_to_bytes

from werkzeug.routing import BaseConverter


class IdConverter(BaseConverter):
    """A part of a path that is an id as text."""

    def to_python(self, value: str) -> str:
        """Decode what `path_info` leaves encoded."""
        return unquote(value)


def path_info(raw_path: bytes) -> str:
    """The path of a request as WSGI has it (PEP 3333), but with slashes and percent signs that are data still encoded.

    So the parts of a path can be told apart, whatever is in them.

    >>> path_info(b"/users/a%2Fb%25/export"), path_info(b"/users/caf%C3%A9").encode("latin-1").decode()
    ('/users/a%2Fb%25/export', '/users/café')
    """
    kept = raw_path.replace(b"%25", b"%2525").replace(b"%2F", b"%252F").replace(b"%2f", b"%252F")
    return unquote_to_bytes(kept).decode("latin-1")
