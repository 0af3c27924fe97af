"""What an event is, how events fold into state, and which features and model inputs follow from it. Pure: no I/O."""

from features.catalogue import DECADES, GENRES, Catalogue, Item, User
from features.counters import ItemCounter, count, merge
from features.event import LIKED, Event, EventError, decode, encode, parse
from features.profile import RECENT, Profile, Rated, Recent, fold
from features.rows import ITEM_FEATURES, USER_FEATURES, Row, item_row, row_time, user_row
from features.schema import DENSE, DENSE_COLUMNS, IDS, dense, encoder_input, multi_hot, popularity, rating_input
from features.terms import preferences

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
    "encoder_input",
    "fold",
    "item_row",
    "merge",
    "multi_hot",
    "parse",
    "popularity",
    "preferences",
    "rating_input",
    "row_time",
    "user_row",
]
