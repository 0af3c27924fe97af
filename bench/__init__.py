"""Benchmarks against the running system, each with its baseline in the same run."""

from bench.freshness import Freshness, freshness

__all__ = ["Freshness", "freshness"]
