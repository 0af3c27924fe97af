"""The archive: the records of the log and the offline history as immutable files with hashes.

archive           the folder: appending files of records, reading them back, setting them aside
record_file       a file of records: its name and its Parquet format
manifest          what the archive belongs to
history           the offline history and the catalogue
durable           writing a file exactly once
"""
