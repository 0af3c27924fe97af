"""The archiver: a process that writes the log to the archive as it grows.

archiver    deciding what to write, and trimming
status      the file in which it says how it is
"""
