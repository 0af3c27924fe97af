"""Errors of the operations on a running system; the whole tree is drawn in `settings.errors`."""

from __future__ import annotations

from settings import ReelstreamError


class LifecycleError(ReelstreamError):
    """A rebuild, or a switch of generations, that cannot be made."""
