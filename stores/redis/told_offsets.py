"""Visible offsets as workers tell them: who waits for one need not ask Redis again and again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, cast

import redis

from stores.redis.shard_offsets import ShardOffsets, read_told

log = logging.getLogger("reelstream.stores")

LISTENS_S = 1.0
"""Seconds after which a listener looks whether it is still to listen to the same generation."""

AGAIN_S = 0.5
"""Seconds until it listens again after Redis did not answer."""


class ToldOffsets:
    """The visible offsets that were told since it listens; a thread of its own does, from the first wait on.

    What is told while nobody listens is lost: a wait that ends says nothing, and its caller looks into Redis.

    Args:
        offsets: gives the shards that are live.
    """

    def __init__(self, offsets: Callable[[], ShardOffsets]) -> None:
        self._live = offsets
        self._changed = threading.Condition()
        self._told: dict[int, int] = {}
        self._listening = False
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def listening(self) -> bool:
        """True while everything that is told is heard."""
        return self._listening

    def wait(self, shard: int, offset: int, seconds: float) -> bool:
        """Wait until the offset of a shard was told, or a later one; False if it was not within so many seconds."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen, name="told offsets", daemon=True)
                self._thread.start()
            return self._changed.wait_for(lambda: self._told.get(shard, -1) >= offset, seconds)

    def forget(self, shard: int) -> None:
        """Forget what was told of a shard: Redis holds an earlier offset, as of a state that was begun anew."""
        with self._changed:
            self._told.pop(shard, None)

    def close(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _listen(self) -> None:
        refusal = ""
        while not self._stopping.is_set():
            try:
                self._listen_to(self._live())
            except (redis.RedisError, OSError) as error:
                if str(error) != refusal:
                    log.info("visible offsets are not heard, and looked for instead: %s", error)
                refusal = str(error)
                self._stopping.wait(AGAIN_S)
            finally:
                self._listening = False

    def _listen_to(self, offsets: ShardOffsets) -> None:
        """Note what is told of some shards for as long as they are live."""
        self._note({}, anew=True)
        with closing(offsets.client.pubsub()) as heard:  # type: ignore[no-untyped-call]
            heard.subscribe(offsets.told_channel)
            while not self._stopping.is_set() and self._live() is offsets:
                message = cast("dict[str, Any] | None", heard.get_message(timeout=LISTENS_S))
                if message is not None and message["type"] == "subscribe":
                    self._listening = True
                elif message is not None:
                    self._note(read_told(message["data"]))

    def _note(self, told: Mapping[int, int], *, anew: bool = False) -> None:
        with self._changed:
            if anew:
                self._told.clear()
            self._told.update(told)
            self._changed.notify_all()
