"""HTTP on one connection: uvicorn's protocol with limits on what a client may send and on how long it may take.

uvicorn itself limits neither the size of a head nor the time that a request takes to arrive or an answer to be read.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar

from api.front.clients import Clients
from compat.uvicorn import STATUS_LINE, HttpToolsProtocol

HEAD = 32 << 10
HEADERS = 100
"""Bytes and headers that the head of a request may have."""

OVERHEAD = 8
"""Times the size of the largest body that a request may take on the wire, for chunks; what exceeds it is not read."""

LINGER_S = 1.0
"""Seconds that an idle connection stays open when the process stops, for a request that is on its way."""

TOO_LARGE = 431, f"the head of a request may have {HEADERS} headers and {HEAD} bytes"
MALFORMED = 400, "this is not HTTP/1.1"
OTHER_TARGET = 400, "the request line names another host than the header Host"


class FrontProtocol(HttpToolsProtocol):
    """A connection. `clients` and `max_body` are set by a subclass for each process."""

    clients: ClassVar[Clients]
    max_body: ClassVar[int]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._wire = 0
        self._refusal = MALFORMED
        self._stopping = False

    def give_up(self) -> None:
        """Close the connection at once, whatever has not been sent."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.clients.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.clients.closed(self)
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer a whole request of a client that has said that it sends no more; uvicorn would drop it."""
        if self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            return False
        self.cycle.keep_alive = False
        return True

    def data_received(self, data: bytes) -> None:
        self._wire += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head and self._wire > HEAD:
            self._refusal = TOO_LARGE
            self.send_400_response("")
        elif self._wire > HEAD + OVERHEAD * self.max_body:
            self.give_up()

    def on_headers_complete(self) -> None:
        self._in_head = False
        if len(self.headers) > HEADERS or len(self.url) + sum(len(n) + len(v) for n, v in self.headers) > HEAD:
            self._refusal = TOO_LARGE
            raise ValueError(TOO_LARGE)
        if not self._is_for_us():
            self._refusal = OTHER_TARGET
            raise ValueError(OTHER_TARGET)
        # Trailers of a chunked body are appended to the list that the parser continues with, and must not count.
        self.scope["headers"] = self.headers
        super().on_headers_complete()
        self.headers = []
        if self._stopping:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        if not self.cycle.response_complete:
            self.clients.hold(self, len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head = True
        self._wire = 0
        super().on_message_complete()
        if not self.cycle.response_complete:
            self.clients.our_turn(self)

    def on_response_complete(self) -> None:
        waiting = self.pipeline[-1][0] if self.pipeline else None
        self.clients.release(self)
        if waiting is None or waiting.more_body:
            self.clients.clients_turn(self)
        super().on_response_complete()

    def pause_writing(self) -> None:
        self.clients.clients_turn(self)
        super().pause_writing()

    def resume_writing(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body:
            self.clients.our_turn(self)
        super().resume_writing()

    def shutdown(self) -> None:
        """Answer what is at work, and a request that is on its way, then close."""
        self._stopping = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(LINGER_S, self._close_idle)

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read as a request, in the form of every other refusal."""
        if self.cycle is not None and not self.cycle.response_complete:
            # The refusal would stand in the middle of another answer.
            self.give_up()
            return
        status, sentence = self._refusal
        content = json.dumps({"error": sentence}).encode()
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(content)
        self.transport.write(STATUS_LINE[status] + head + content)
        self.transport.close()

    def _close_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _is_for_us(self) -> bool:
        """Check that a target in absolute form, which outweighs the header, names the same host as the header."""
        if self.url.startswith(b"/") or self.url == b"*":
            return True
        hosts = [value for name, value in self.headers if name == b"host"]
        authority = self.url.partition(b"://")[2].partition(b"/")[0].partition(b"?")[0]
        return bool(authority) and hosts == [authority]
