"""Folding: a batch of events into Redis, Feast and the feature log, and the publication of item counters.

event_path     the path of an event, from the topic to the acknowledgement
erasures       the fold of erasures of users
shard_batch    one partition's records of a batch: validated, folded in memory
stores         what a fold writes to
inputs         the ranker's inputs before each event; `sampling` chooses those that are scored
items          the publication of item counters
evictor        the eviction of inactive users
"""
