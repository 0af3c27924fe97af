"""Reading the log: fetching, buffering and batching, starting where the state is, and stopping at a wrong log."""
