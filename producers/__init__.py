"""Sources of events.

The replayer (`replay`), the events that the log holds of it already (`present`), its `scenarios`, and records of dead
letters sent again (`dead`).
"""

from producers.dead import dead_events, resend
from producers.replay import Pace, Recording, Report, replay
from producers.scenarios import ScenarioError, ScenarioEvent, scenario, scenarios

__all__ = [
    "Pace",
    "Recording",
    "Report",
    "ScenarioError",
    "ScenarioEvent",
    "dead_events",
    "replay",
    "resend",
    "scenario",
    "scenarios",
]
