"""Kafka: the log of events and its check, appending, dead letters, the feature log, clients."""
