"""Redis: the state, what is published, and the state of drift.

shard_offsets                 the shards: their keys, how far each is folded, and whether it is closed
told_offsets                  visible offsets as workers tell them
profiles, shard_transaction   the state by shard; one guarded change of a shard (the seen filter is updated there)
known_counters                the counters of all items, read again and again
shard_state                   what a fold needs of a shard, at one moment
shard_catalogue               the changed items of a shard, and the events that wait for an item
shard_view, shard_log         a shard at one moment; its place in the log
packing, readable             values as bytes; reading them where some are damaged
packed_changes                changed items and waiting events as bytes
published, published_runs     catalogue, schema and snapshot of a state; runs, with their references and ids
live                          the snapshot and the live run as they are stored
erased_users                  all that a shard holds of users who are erased
unpublished_items             items whose rows are not written yet
publication_clock             the time of a publication of items
log_start                     the place in the log at which a written state continues
generations, state_stores     which generation of the state is live; the stores of one
earlier_state                 which other version a state has
earlier_profiles              what requests can read of a state of another version
eviction                      inactive users, moved out of Redis
publish_lock                  the lock of publishing
drift, drift_record           what drift monitoring has found; a copy of it
connection                    connections
"""
