"""What puts events on the topic: the replayer, and dead events sent again."""

from producers.dead import Dead, dead_events, resend
from producers.replay import Pace, Report, replay

__all__ = ["Dead", "Pace", "Report", "dead_events", "replay", "resend"]
