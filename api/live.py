"""The live run and the items in memory, kept current by a thread."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

from api.items import LiveItems
from api.messages import RequestError
from settings import Settings
from stores import LiveRun, NotPublished, Published, Unreachable
from stores.feast.feature_store import Features

log = logging.getLogger("reelstream.api")

UNPUBLISHED = "nothing is published yet; run `reelstream publish`"

EVERY_S = 0.5
"""Seconds between two looks at what changed."""

ROWS = 100
PAUSE_S = 0.02
"""Rows read at once, and seconds between, when all are read."""


@dataclass(frozen=True)
class Live:
    """A run and the items; taken once a request, so that an answer is made by one run."""

    run: LiveRun
    items: LiveItems


class Follower:
    """Keeps `live` current. It stays as it was while the stores are away.

    Attributes:
        live: None until a run is published.
        waits_for: what it is missing, None while all is well.
    """

    def __init__(self, settings: Settings, published: Published, features: Features) -> None:
        self._settings = settings
        self._published = published
        self._features = features
        self._notice = "0-0"
        self._read_at = 0.0
        self._items: LiveItems | None = None
        self._snapshot: str | None = None
        self.live: Live | None = None
        self.waits_for: str | None = "the first look at what is published"
        self._refusal = UNPUBLISHED
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)

    def require(self) -> Live:
        """The run and the items that an answer is made with.

        Raises:
            RequestError: if there is nothing yet that they can be made with.
        """
        if self.live is None:
            raise RequestError(self._refusal, 503)
        return self.live

    def start(self) -> None:
        """Look once, so that a new process answers its first request as any other, then follow."""
        self._look()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join(timeout=5)

    def _follow(self) -> None:
        while not self._stopping.wait(EVERY_S):
            self._look()

    def _look(self) -> None:
        try:
            self.look()
            self.waits_for = None
        except (NotPublished, Unreachable) as error:
            if isinstance(error, NotPublished):
                self._refusal = str(error)
            if self.waits_for != str(error):
                log.warning("%s", error)
            self.waits_for = str(error)
        except Exception:
            log.exception("unexpected error; trying again")
            self.waits_for = "an unexpected error, see the log"

    def look(self) -> None:
        """Read what changed since the last look.

        Raises:
            NotPublished: if nothing is published yet.
            OtherVersion: if what is published was made with other counts or features than are declared.
            Unreachable: if a store does not answer.
        """
        run = self._published.run()
        snapshot = self._published.snapshot()
        if run is None or snapshot is None:
            raise NotPublished(UNPUBLISHED)
        self._published.require_state_version()
        run.require_columns()
        items = self._items
        if items is None or snapshot.created != self._snapshot:
            items = LiveItems(self._published.catalogue(), self._settings.recall.half_life_days)
            self._read_at = 0.0
            self._snapshot = snapshot.created
        if time.monotonic() - self._read_at > self._settings.api.items_refresh_s or not self._read_at:
            self._notice = self._published.last_notice()
            self._read_all(items)
            self._read_at = time.monotonic()
        else:
            self._notice, changed = self._published.changed_items(self._notice)
            if changed is None:
                self._read_at = 0.0
            else:
                items.update(self._features.items([itemid for itemid in changed if itemid in items.items]))
        self._items = items
        if self.live is None or self.live.run != run or self.live.items is not items:
            self.live = Live(run, items)

    def _read_all(self, items: LiveItems) -> None:
        """Read every row, with pauses, so that requests beside it are not held up."""
        itemids = list(items.items)
        for start in range(0, len(itemids), ROWS):
            items.update(self._features.items(itemids[start : start + ROWS]))
            self._stopping.wait(PAUSE_S)
