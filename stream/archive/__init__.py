"""The archiver: a process that writes the log to the archive as it grows.

archiver    deciding what to write, and trimming
daily       the erasure that it starts once a day
status      the file in which it says how it is
"""
