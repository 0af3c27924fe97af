"""The error of an event that cannot be read."""

from __future__ import annotations


class EventError(ValueError):
    """An event that cannot be understood; the message names the field and the rule."""
