"""Sources of events.

The replayer (`replay`), the events that the log holds of it already (`present`), its `scenarios`, and records of dead
letters sent again (`dead`).
"""

from producers.dead import dead_events, resend
from producers.replay import Pace, Recording, Report, replay
from producers.scenarios import SCENARIOS, ScenarioEvent, ScenarioName, scenario

__all__ = [
    "SCENARIOS",
    "Pace",
    "Recording",
    "Report",
    "ScenarioEvent",
    "ScenarioName",
    "dead_events",
    "replay",
    "resend",
    "scenario",
]
