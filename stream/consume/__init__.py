"""Reading the log: batches, how far they are folded, and stopping at a wrong log.

batches       reading batches, working on them in a thread, and acknowledging them
assignment    the partitions that a worker holds, and what waits in them
membership    leaving Kafka's consumer group on behalf of a worker that was killed
progress      how far each partition is folded, and where to go on reading
log_guard     the comparison of the log with the state

The consumer and its buffer are in `compat.faust`.
"""
