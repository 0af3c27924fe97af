"""Operations on a running system that need several packages.

rebuild          a new generation of the state, folded from archive and log next to the live one
switching        putting a generation live; back to the one before; dropping it
catch_up         folding the log into a generation that is not live
partitions       more partitions for the log, before a generation with as many shards is folded
backup           everything that a system is restored from, copied into a folder
backup_folder    the folder: files by their hash, and a manifest for each backup
dead_letters     dead letters in a backup, and those that a restored system must file
data_files       the rows of users in the files of a data set
erasure          what is left of erased users, deleted
forgotten        the search for a user in every store and file
restore          an empty system, made as it was at a backup
"""
