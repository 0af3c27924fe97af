"""The stream worker: Faust agents that fold each event into Redis and Feast, exactly once in effect.

fold/               the path of an event, step by step (`fold.event_path`: start reading there), and its parts
consume/            reading the log: where to start, what waits, batches, the check of the log
archive/            the archiver, a process of its own
drift/              the agent that counts the feature log
app                 the Faust application: agents, timers and pages
redis_stores        what a worker reads and writes in Redis
health, metrics     the health of a worker; its metrics
troubles, retry     failures that a worker survives; trying again while a store is away
exit, web           the end of the process; hosts of its HTTP server
"""
