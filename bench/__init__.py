"""Benchmarks, each with its baseline in the same run.

freshness        from an event to a list that reflects it
latency          lists one after the other and at rising rates, next to the tutorial's way of serving (`tutorial`)
throughput       events a second in catch-up, by workers, with and without drift monitoring
start            from nothing running to all healthy, and from a killed worker to caught up
scale            growth with the catalogue (`scale_items`), the users and their histories (`scale_users`), by `growth`
filters          lists with `filter` and `diversity` next to plain ones
changes          from a change of the catalogue to lists that reflect it (`new_items`), under load
hot_publish      latency and failures while a run is published
attacks          the same while hostile clients (`attacker`) are at work
detection        events until drift is detected, on streams without any other drift (`stationary`)
false_alarms     false alarms per week where nothing drifts (`sample`): of windows (`window_alarms`), and of detectors
                 that watch event by event (`change_alarms`)
drift_cost       what drift monitoring costs
memory           Redis's memory over a year, with and without the eviction of inactive users
rebuild_time     the time of a rebuild after Redis has lost its data
load             a steady load of requests or events, which others use
beside           an empty generation of the state, into which others fold
components       processor time and memory of the components, likewise
"""

from bench.attacks import attacks
from bench.changes import changes
from bench.detection import detection
from bench.drift_cost import drift_cost
from bench.false_alarms import false_alarms
from bench.filters import filters
from bench.freshness import Freshness, Level, freshness
from bench.hot_publish import hot_publish
from bench.latency import latency
from bench.load import Load, Request, failures
from bench.memory import memory
from bench.rebuild_time import rebuild_time
from bench.sample import Sample
from bench.scale import Plan, scale
from bench.scale_items import Commands
from bench.start import start
from bench.stationary import Blocks
from bench.throughput import throughput

__all__ = [
    "Blocks",
    "Commands",
    "Freshness",
    "Level",
    "Load",
    "Plan",
    "Request",
    "Sample",
    "attacks",
    "changes",
    "detection",
    "drift_cost",
    "failures",
    "false_alarms",
    "filters",
    "freshness",
    "hot_publish",
    "latency",
    "memory",
    "rebuild_time",
    "scale",
    "start",
    "throughput",
]
