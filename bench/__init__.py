"""Benchmarks against the running system, each with its baseline in the same run."""

from bench.freshness import Freshness, freshness
from bench.hot_publish import hot_publish
from bench.load import Load, Request

__all__ = ["Freshness", "Load", "Request", "freshness", "hot_publish"]
