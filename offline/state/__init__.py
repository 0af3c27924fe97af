"""The live state: writing, saving and rebuilding it.

snapshot         the state after the offline history, as the first publish writes it
beginning        the state that the log follows
archived_history the offline history, copied to the archive
rebuild, adopt   folding the whole log again; continuing with another log
state_snapshot   the state saved in files
own_log, lock    conditions: the log is the state's own; nobody else changes the state
"""
