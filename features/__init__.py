"""The event, the fold of events into state, and the features that follow from it. Pure: no I/O.

event, catalogue           an event; items and users
profile, counters          the fold of events into a user's profile and an item's counters
erasure                    the counters without a user who is erased
windows, tally             what the last events of a user add up to
counts                     every count, declared once
declarations, feature      every feature of the ranker's dense input, declared once; how one is declared
schema                     the ranker's columns, and its dense input from the declared formulas
rows, repository           feature rows, and the Feast repository that holds them
columns                    counts of many users, items or events at once
document, version          docs/features.md, and the versions of what is stored, both from the declarations
state_fields               names of the stored fields, by which another release reads a state
stored                     records that are stored as JSON, with the version of their layout
dataset                    the description of a data set: files, events, feedback, attributes
broken                     a feature that a scenario breaks
"""

from features.catalogue import DECADES, GENRES, Catalogue, Item, User
from features.counters import ItemCounter, count, merge
from features.erasure import take_out
from features.event import LIKED, Erasure, Event, EventError, decode, encode, parse
from features.profile import RECENT, Profile, Rated, Recent, fold, supersedes
from features.rows import ITEM_FEATURES, USER_FEATURES, Row, item_row, user_row, user_row_time
from features.schema import DENSE, DENSE_COLUMNS, IDS, dense, multi_hot

__all__ = [
    "DECADES",
    "DENSE",
    "DENSE_COLUMNS",
    "GENRES",
    "IDS",
    "ITEM_FEATURES",
    "LIKED",
    "RECENT",
    "USER_FEATURES",
    "Catalogue",
    "Erasure",
    "Event",
    "EventError",
    "Item",
    "ItemCounter",
    "Profile",
    "Rated",
    "Recent",
    "Row",
    "User",
    "count",
    "decode",
    "dense",
    "encode",
    "fold",
    "item_row",
    "merge",
    "multi_hot",
    "parse",
    "supersedes",
    "take_out",
    "user_row",
    "user_row_time",
]
