"""Redis: profiles, filters, counters and offsets by shard, what is published, and the state of drift."""
