"""The archive: the records of the log and the offline history as immutable files with hashes.

archive           the folder: appending files of records, reading them back, setting them aside
archiving         writing what the log holds and the archive does not
record_file       a file of records: its name and its Parquet format
manifest          what the archive belongs to
history           the offline history and the catalogue
history_files     its files
durable           writing a file exactly once
whole_log         reading the archive, then the log
user_records      the records of one user in both
continuation      the check that archive and log belong together
trim              deleting from the log what is applied and archived
"""
