"""A second fold, slow and plain, with which `reelstream verify` checks a sample.

It shares no code with the rest of reelstream: it reads the description of the data set, the raw files, or those of the
archive, and the raw records of the log by itself, keeps the events of each watched user and item in lists, and counts
every number of the state from these lists, from the beginning, each time that it is asked. It knows nothing of how the
state is kept up to date, so a mistake there cannot hide here.

state                  the state of some users and items
records                the records of the log: which count, from where on, and under which attributes
catalogue              the items of each partition as changes leave them, and the events that wait for one
rules                  which events are valid, and their codes
changes                which records are changes of items and users, and what they give
counting               which events count, and what they add up to
weights                how much the values of terms weigh
history                the events before the log, and the catalogue, from the files of the data set
files, attributes      rows of files; attributes of items and users from their columns
archive                the same as the history, from the archive
murmur                 Kafka's default partition of a key

The rules that it goes by, each of which the documentation states, are in these modules, and these:

* The history comes before the log, whose records come in the order of their offsets.
* A record that is neither a valid event nor a change, that is in another partition than its key says (but for changes
  of items, which every partition has), or whose time is more than `max_future_s` after Kafka appended it (where the
  record says when), counts for nothing.
* Partitions may have been added to the log. What is said of keys and partitions is said of the partitions that there
  were when a record was appended; records from before come before all others of their user.
* From the record on that erases a user, nothing before it counts, and the user's attributes are unknown until they are
  changed.
* Of a user's changes the last one counts, and adds 1 to the version of a profile that there is by then.
* An item is recently popular by the events of the eight weeks that end with the week of its latest event.
"""

from verify.oracle.archive import of_archive
from verify.oracle.history import History, of_files
from verify.oracle.state import Oracle

__all__ = ["History", "Oracle", "of_archive", "of_files"]
