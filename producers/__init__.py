"""Sources of events: the replayer (`replay`), its `scenarios`, and records of dead letters sent again (`dead`)."""

from producers.dead import dead_events, resend
from producers.replay import Pace, Recording, Report, replay
from producers.scenarios import SCENARIOS, Message, ScenarioName, scenario

__all__ = [
    "SCENARIOS",
    "Message",
    "Pace",
    "Recording",
    "Report",
    "ScenarioName",
    "dead_events",
    "replay",
    "resend",
    "scenario",
]
