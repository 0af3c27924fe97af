"""The event, the fold of events into state, and the features that follow from it. Pure: no I/O.

event, catalogue, ids      the records of the log; items and users; their ids, and the numbers that models know them by
changes, words             changes of items and users; attributes as changes name them
layer, waiting             the items as a shard's changes leave them; events that wait for their items
errors                     the error of an event that cannot be read
seen                       what is known of a user and an item
profile, counters          the fold of events into a user's profile and an item's counters
weights                    the decayed weights of the terms in a profile
erasure                    the counters without a user who is erased
windows, tally             what the last events of a user add up to
dataset                    the description of a data set: files, events, feedback, attributes, codes of events
attributes                 attributes of items and users, with what the data taught
counts                     every count, declared once
declarations, feature      every feature of the ranker's dense input, declared once; how one is declared
schema                     all that follows from a description: counts, features, columns, versions
rows, repository           feature rows, and the Feast repository that holds them
columns, changed_columns   counts of many users, items or events at once; columns of a catalogue that changed
document, version          docs/features.md, and the versions of what is stored, both from the declarations
state_fields               names of the stored fields, by which another release reads a state
stored                     records that are stored as JSON, with the version of their layout
broken                     a feature that a scenario breaks
"""

from features.attributes import Attribute, LearnedAttribute
from features.catalogue import UNKNOWN, Catalogue, Item, ItemValue, User
from features.changes import ItemChange, UserChange
from features.counters import ItemCounter, count, merge
from features.dataset.codes import Codes
from features.erasure import take_out
from features.errors import EventError
from features.event import Erasure, Event, EventFormat, LogRecord
from features.ids import UNKNOWN_NUMBER, Id, IdKind, Numbering, ascending, id_text
from features.layer import Changed, Items, Layer
from features.profile import RECENT, Profile, Recent, fold
from features.rows import Row, item_row, user_row, user_row_time
from features.schema import Learned, Schema, dense, multi_hot
from features.seen import Rated, Seen, supersedes

__all__ = [
    "RECENT",
    "UNKNOWN",
    "UNKNOWN_NUMBER",
    "Attribute",
    "Catalogue",
    "Changed",
    "Codes",
    "Erasure",
    "Event",
    "EventError",
    "EventFormat",
    "Id",
    "IdKind",
    "Item",
    "ItemChange",
    "ItemCounter",
    "ItemValue",
    "Items",
    "Layer",
    "Learned",
    "LearnedAttribute",
    "LogRecord",
    "Numbering",
    "Profile",
    "Rated",
    "Recent",
    "Row",
    "Schema",
    "Seen",
    "User",
    "UserChange",
    "ascending",
    "count",
    "dense",
    "fold",
    "id_text",
    "item_row",
    "merge",
    "multi_hot",
    "supersedes",
    "take_out",
    "user_row",
    "user_row_time",
]
