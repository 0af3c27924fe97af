"""The search for a user in every store and file, once the user should be forgotten.

mentions    what of a value names a user, whatever the value is
servers     Redis, Kafka and Elasticsearch
files       the state folder and the data folder
search      all of it
"""

from lifecycle.forgotten.search import Hit, search

__all__ = ["Hit", "search"]
