"""Folding: a batch of events into Redis, Feast and the feature log, and the publication of item counters."""
