"""Errors of the operations on a running system; the whole tree is drawn in `settings.errors`."""

from __future__ import annotations

from settings import ReelstreamError


class LifecycleError(ReelstreamError):
    """A rebuild, a switch of generations, a backup or a restore that cannot be made."""
