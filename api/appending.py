"""The way in which the API appends events to the log."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Appending:
    """The way in which events are appended to the log.

    Attributes:
        partitions: that their keys are spread over.
        refused: True while none may be appended, because the number changes.
        noted: True if the number is noted with the state; else it is the setting.
    """

    partitions: int
    refused: bool = False
    noted: bool = False
