"""Redis: the state, what is published, and the state of drift.

profiles, shard_transaction   the state by shard; one guarded change of a shard (the seen filter is updated there)
shard_view, shard_log         a shard at one moment; its place in the log
packing, readable             values as bytes; reading them where some are damaged
published, live               catalogue, snapshot and live run
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
