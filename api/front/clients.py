"""Connections on which it is the client's turn: to send a request, or to read the answer."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import Protocol

SWEEP_EVERY_S = 0.5

BUFFERED = 64 << 20
"""Bytes of unfinished requests that all connections of a process may hold together."""


class Connection(Protocol):
    """A connection that can be given up."""

    def give_up(self) -> None:
        """Close it at once, whatever has not been sent."""


class Clients:
    """The connections of a process, with the client's turn on each.

    Args:
        limit: open connections; one more costs the client that has had its turn longest its connection.
        turn_s: seconds that a client's turn may last.
        buffered: bytes of unfinished requests that all may hold together.
    """

    def __init__(self, limit: int, turn_s: float, buffered: int = BUFFERED) -> None:
        self._limit = limit
        self._turn_s = turn_s
        self._budget = buffered
        self._open = 0
        self._held: dict[Connection, int] = {}
        self._total = 0
        # The longest turn first.
        self._turns: OrderedDict[Connection, float] = OrderedDict()

    def opened(self, connection: Connection) -> None:
        """Take a new connection, on which it is the client's turn."""
        self._open += 1
        self.clients_turn(connection)
        if self._open > self._limit:
            self._give_up(next(iter(self._turns)))

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self._open -= 1
        self.our_turn(connection)
        self.release(connection)

    def clients_turn(self, connection: Connection) -> None:
        """Begin a turn of the client."""
        self._turns[connection] = time.monotonic()
        self._turns.move_to_end(connection)

    def our_turn(self, connection: Connection) -> None:
        """End the client's turn: a whole request is there, or what was sent has been read."""
        self._turns.pop(connection, None)

    def hold(self, connection: Connection, n: int) -> None:
        """Count bytes of a request; where all connections hold too many, the longest turn that holds some ends."""
        self._held[connection] = self._held.get(connection, 0) + n
        self._total += n
        if self._total > self._budget:
            self._give_up(next((each for each in self._turns if each in self._held), connection))

    def release(self, connection: Connection) -> None:
        """Count a connection's bytes no more."""
        self._total -= self._held.pop(connection, 0)

    def sweep(self) -> None:
        """Give up the connections whose client's turn has lasted too long."""
        since = time.monotonic() - self._turn_s
        while self._turns:
            connection, began = next(iter(self._turns.items()))
            if began > since:
                return
            self._give_up(connection)

    async def keep_sweeping(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            self.sweep()

    def _give_up(self, connection: Connection) -> None:
        self.our_turn(connection)
        self.release(connection)
        connection.give_up()
