"""Folding: a batch of events into Redis, Feast and the feature log, and the publication of items.

event_path     the path of an event, from the topic to the acknowledgement
shard_batch    one partition's records of a batch: validated, and erasures cut off from the others
shard_fold     the fold of such a batch: events and changes of users (`event_fold`), changes of items, and the events
               that wait for an item (`waiting_events`)
erasures       the fold of erasures of users
layers         the catalogue as each shard knows it, in memory
stores         what a fold writes to
inputs         the ranker's inputs before each event; `sampling` chooses those that are scored
items          the publication of items: rows, documents (`changed_documents`), and items that nobody has put into the
               catalogue yet (`auto_insert`)
evictor        the eviction of inactive users
"""
