"""Kafka: the log of events and everything that is appended to topics.

log, record, topics             reading the log; its records and partitions; topics and their configuration
record_owner                    records of users, and those of items with the same key
epochs                          how many partitions the log had, and up to where
producer                        appending without losing or repeating a record
item_changes                    appending changes of items to every partition
dead_letters, feature_log       the topics `ratings.dead` and `ratings.features`
log_check, log_probe            the check that the log is the state's own
new_log                         an empty log that continues at given offsets
log_heads, batch_headers        the furthest records seen; offsets that never held an event
members                         the members of the workers' consumer group
client                          clients of kafka-python, which `compat` patches
"""
