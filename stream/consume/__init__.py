"""Reading the log: batching, and stopping at a wrong log. The consumer and its buffer are in `compat.faust`."""
