"""The replayer: held-out ratings as the live stream."""

from producers.replay import Pace, Report, replay

__all__ = ["Pace", "Report", "replay"]
