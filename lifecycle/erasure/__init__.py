"""The rest of erased users, deleted: their events, and all else that still names them.

due          the erasures whose time has come
given_up     those in logs that were given up
records      the files of records in the archive
files        all files of the archive, in order, and what a killed process has left of them
history      the offline history, and what of the state follows from it alone
refused      events that are dead as too many waited
topics       dead letters, and the feature log
sweep        all of it, in order
"""

from lifecycle.erasure.sweep import Swept, sweep

__all__ = ["Swept", "sweep"]
