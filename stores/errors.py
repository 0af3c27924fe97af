"""Errors of the stores; the whole tree is drawn in `settings.errors`."""

from __future__ import annotations

from settings import ReelstreamError


class StoreError(ReelstreamError):
    """A server that we talk to."""


class Unreachable(StoreError):
    """A server does not answer; worth trying again."""


class Trimmed(Unreachable):
    """The log no longer holds the offset that is read; worth trying again with its new bounds."""


class NotPublished(StoreError):
    """There is no snapshot, or no run, to serve from yet."""


class OtherVersion(NotPublished):
    """Stored state or the live run was made with other counts or features than this release declares."""


class LockTaken(StoreError):
    """Another publish, rollback or reset is at work."""


class LockLost(StoreError):
    """A publish no longer holds the lock, or the live run is not the one that it read."""


class Unreadable(StoreError):
    """A stored value is not one that we wrote."""


class LogError(StoreError):
    """The log cannot be folded without loss."""


class Gap(LogError):
    """The log lacks events that the state needs next."""


class Skipped(LogError):
    """Events that the log holds were not delivered; the worker must read them again."""


class ShardLost(LogError):
    """Another worker has taken the shard."""


class ArchiveError(StoreError):
    """The archive is damaged, incomplete, or that of another log."""


class Closed(ShardLost):
    """Nobody may fold into the shard: another generation of the state goes live."""
