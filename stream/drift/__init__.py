"""Drift in the stream: the agent that reads the feature log, scores a sample of it and counts all of it."""
