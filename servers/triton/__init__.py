"""Triton: its server, its environment, and the repository that it serves, derived from the stock one."""

from servers.triton.server import component, derive, models

__all__ = ["component", "derive", "models"]
