"""Errors of the offline part; the whole tree is drawn in `settings.errors`."""

from __future__ import annotations

from settings import ReelstreamError


class OfflineError(ReelstreamError, ValueError):
    """Something offline that the user can mend."""


class DataError(OfflineError):
    """The ratings are missing or malformed."""


class RunError(OfflineError):
    """A run folder is missing or incomplete."""


class ExportError(OfflineError):
    """An exported model does not answer as the trained one."""
