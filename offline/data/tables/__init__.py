"""A data set of any description as typed columns: its events, items and users.

files       the columns of a file, as they stand in it
arrow       Arrow arrays without pandas
values      columns as whole numbers, numbers, times, texts and ids; errors name the line
columns     typed columns of attributes
attributes  attributes from columns
dataset     the whole data set
"""

from offline.data.tables.columns import Categorical, Column, MultiCategorical, Numeric, Texts
from offline.data.tables.dataset import EntityTable, Events, Tables, read

__all__ = [
    "Categorical",
    "Column",
    "EntityTable",
    "Events",
    "MultiCategorical",
    "Numeric",
    "Tables",
    "Texts",
    "read",
]
