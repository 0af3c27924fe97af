"""The search for a user in every store and file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from features import Id
from lifecycle.forgotten.files import in_files
from lifecycle.forgotten.mentions import Mentions
from lifecycle.forgotten.servers import in_elasticsearch, in_kafka, in_redis
from settings import Settings
from stores import connect

Progress = Callable[[str, float], None]
"""Told what is done, and the share of it that is done, 0 to 1."""


@dataclass(frozen=True)
class Hit:
    """A place that names the user.

    Attributes:
        store: Redis, Kafka, Elasticsearch or files.
        place: in it.
    """

    store: str
    place: str


def search(settings: Settings, userid: Id, progress: Progress) -> list[Hit]:
    """Search every store, the state folder and the data folder for a user.

    Args:
        settings: all settings.
        userid: the user.
        progress: told of each store.

    Raises:
        ArchiveError: if a file of the archive is of another release.
        Unreachable: if a store does not answer.
    """
    mentions = Mentions(userid)
    stores: dict[str, Callable[[], Iterator[str]]] = {
        "Redis": lambda: in_redis(connect(settings.redis), mentions),
        "Kafka": lambda: in_kafka(settings, mentions),
        "Elasticsearch": lambda: in_elasticsearch(settings, mentions),
        "files": lambda: in_files(settings, mentions),
    }
    hits: list[Hit] = []
    for number, (store, places) in enumerate(stores.items()):
        progress(f"searching {store}", number / len(stores))
        hits += [Hit(store, place) for place in places()]
    return hits
