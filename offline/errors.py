"""The errors of the offline part. Each message is one line that says what to do.

OfflineError
 +-- DataError     the ratings are missing or malformed
 +-- RunError      a run folder is missing or incomplete
 +-- ExportError   an exported model does not answer as the trained one
"""

from __future__ import annotations


class OfflineError(ValueError):
    """Something offline that the user can mend."""


class DataError(OfflineError):
    """The ratings are missing or malformed."""


class RunError(OfflineError):
    """A run folder is missing or incomplete."""


class ExportError(OfflineError):
    """An exported model does not answer as the trained one."""
