"""The live state: writing and saving it; `lifecycle.rebuild` folds it again.

snapshot         the state after the offline history, as the first publish writes it
beginning        the state that the log follows
archived_log     the part of the log that only the archive holds
epoch_fold       the fold of the whole log, also where it had fewer partitions
waiting_records  events that wait for their items, as records
archive_of_log   the archive as `adopt` sees it
archived_history the offline history, copied to the archive
adopt            continuing with another log
state_snapshot   the state saved in files
saved_shard      the file of a shard in it
earlier_weights  weights of terms in profiles that were saved before they had them
own_log, lock    conditions: the log is the state's own; nobody else changes the state
"""
