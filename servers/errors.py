"""Errors of the servers; `settings.errors` shows the whole hierarchy."""

from __future__ import annotations

from settings import ReelstreamError


class ServersError(ReelstreamError):
    """The servers cannot do what was asked."""


class Unsupported(ServersError):
    """This machine or this setting is not one that the servers can run with."""


class SetupFailed(ServersError):
    """A jar or Triton's environment could not be fetched or built."""


class LowResources(ServersError):
    """Too little disk or memory."""


class PortTaken(ServersError):
    """Another program listens where a component should."""


class NotReady(ServersError):
    """A component did not come up, or did not stop."""


class NotRunning(ServersError):
    """The servers, or the component asked for, are not running."""
