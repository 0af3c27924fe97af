"""The description of a data set: its files, events, feedback, items, users and split, as a TOML file says them. Pure.

part                    the base of the models, and the rule for names
files                   the files and the columns of events
feedback                what an event of a type says of a user and an item
codes                   what events say, as small numbers
attributes              attributes of items and users
description             all of it together
references              rules that join parts: names of files, columns, event types and attributes
parsing                 a description from the text of its file; errors name the line
"""

from features.dataset.attributes import Attribute, Categories, Category, Number, Text, Title
from features.dataset.codes import Codes
from features.dataset.description import DataSet, Entities, LastEvents, PointInTime
from features.dataset.feedback import Condition, Feedback
from features.dataset.files import EventSource, File
from features.dataset.parsing import DescriptionError, parse

__all__ = [
    "Attribute",
    "Categories",
    "Category",
    "Codes",
    "Condition",
    "DataSet",
    "DescriptionError",
    "Entities",
    "EventSource",
    "Feedback",
    "File",
    "LastEvents",
    "Number",
    "PointInTime",
    "Text",
    "Title",
    "parse",
]
