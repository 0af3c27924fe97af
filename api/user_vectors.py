"""User vectors kept in memory: a user whose last events are still the same need not be encoded again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from features.schema import Floats
from scoring import Users

MOST = 8192
"""Most vectors that are kept: with vectors of 129 numbers and histories of 100 events, 15 MB."""

Encode = Callable[[Users], Floats | None]


class UserVectors:
    """The vectors that the encoder gave last; safe to share between threads.

    A vector is kept under the run and all that the encoder is given, so that none can be out of date.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, bytes, bytes], Floats] = OrderedDict()

    def of(self, run: str, users: Users, encode: Encode) -> Floats | None:
        """The vector of the one user, FP32 [1, dim], kept or by `encode`; None where that gives none."""
        key = run, users.items.tobytes(), users.liked.tobytes()
        with self._lock:
            vector = self._kept.get(key)
            if vector is not None:
                self._kept.move_to_end(key)
                return vector
        vector = encode(users)
        if vector is not None:
            with self._lock:
                self._kept[key] = vector
                if len(self._kept) > MOST:
                    self._kept.popitem(last=False)
        return vector
