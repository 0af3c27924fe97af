"""What puts events on the topic: the replayer, with or without a scenario, and dead letters sent again."""

from producers.dead import dead_events, resend
from producers.replay import Pace, Report, replay
from producers.scenarios import SCENARIOS, ScenarioName, Told, scenario

__all__ = ["SCENARIOS", "Pace", "Report", "ScenarioName", "Told", "dead_events", "replay", "resend", "scenario"]
