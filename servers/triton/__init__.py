"""Triton: its server, its environment, and the repository that it serves, derived from the stock one."""

from servers.triton.server import derive, models, part

__all__ = ["derive", "models", "part"]
