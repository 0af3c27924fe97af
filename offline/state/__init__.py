"""The live state as files and from files: the snapshot of the offline history, copies, rebuilding, adopting a log."""
