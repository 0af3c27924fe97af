"""Benchmarks, each with its baseline in the same run."""

from bench.attacks import attacks
from bench.detection import detection
from bench.drift_cost import drift_cost
from bench.freshness import Freshness, freshness
from bench.hot_publish import hot_publish
from bench.load import Load, Request
from bench.stationary import BLOCKS, Blocks

__all__ = [
    "BLOCKS",
    "Blocks",
    "Freshness",
    "Load",
    "Request",
    "attacks",
    "detection",
    "drift_cost",
    "freshness",
    "hot_publish",
]
