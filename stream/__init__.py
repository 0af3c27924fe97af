"""The stream worker: Faust agents that fold each event into Redis and Feast, exactly once in effect."""
