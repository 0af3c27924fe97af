"""The WSGI application behind the event loop: whole requests go to threads, answers come back in slices."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

from api.paths import path_info
from api.shedding import ARRIVED
from settings import ApiSettings

SLICE = 64 << 10
"""Bytes of an answer that are given to a connection at once; a reader that stands still holds no more than two."""

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Message = MutableMapping[str, Any]
Headers = list[tuple[bytes, bytes]]


class Pools:
    """Threads by what they work on, so that requests of one kind leave room for the others.

    Liveness has threads of its own: it answers however much there is to do. Lists have more threads than places
    (`api.threads`), as some of them wait for a place, or for the position given in `after`.
    """

    def __init__(self, threads: int) -> None:
        def pool(name: str, n: int) -> ThreadPoolExecutor:
            return ThreadPoolExecutor(n, thread_name_prefix=name)

        self._others = pool("other", threads)
        events = pool("events", 2 * threads)
        self._by_path = {
            "/health/live": pool("live", 2),
            "/ml/rec": pool("rec", 3 * threads),
            "/events": events,
            "/ratings": events,
        }

    def of(self, path: str) -> ThreadPoolExecutor:
        """The threads for a path."""
        return self._by_path.get(path, self._others)


class Buffered:
    """An ASGI application that runs a WSGI application in threads, on requests that are there in full."""

    def __init__(self, wsgi: Wsgi, api: ApiSettings) -> None:
        self._wsgi = wsgi
        self._max_body = api.max_body_kb * 1024
        self._multiprocess = api.workers > 1
        self._pools = Pools(api.threads)

    async def __call__(
        self,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer one request; nothing is sent to a client that went away before its request was there."""
        environ = environ_of(scope, self._multiprocess)
        body = await self._body(environ, receive)
        if body is None:
            return
        environ["wsgi.input"] = BytesIO(body)
        environ[ARRIVED] = time.perf_counter()
        pool = self._pools.of(environ["PATH_INFO"])
        loop = asyncio.get_running_loop()
        status, headers, content = await loop.run_in_executor(pool, self._answer, environ)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        view = memoryview(content)
        for start in range(0, max(len(content), 1), SLICE):
            more = start + SLICE < len(content)
            await send({"type": "http.response.body", "body": bytes(view[start : start + SLICE]), "more_body": more})

    async def _body(self, environ: dict[str, Any], receive: Callable[[], Awaitable[Message]]) -> bytes | None:
        """The body; empty where it is declared larger than the limit, and cut off just above where it turns out so.

        The application then refuses it by its length.
        """
        if int(environ.get("CONTENT_LENGTH") or 0) > self._max_body:
            return b""
        body = bytearray()
        more = True
        while more and len(body) <= self._max_body:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message["body"]
            more = message["more_body"]
        environ["CONTENT_LENGTH"] = str(len(body))
        return bytes(body)

    def _answer(self, environ: dict[str, Any]) -> tuple[int, Headers, bytes]:
        started: list[tuple[int, Headers]] = []

        def start_response(status: str, headers: list[tuple[str, str]], error: Any = None) -> None:
            encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
            started[:] = [(int(status.split(" ", 1)[0]), encoded)]

        parts = self._wsgi(environ, start_response)
        try:
            content = b"".join(parts)
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()
        [(code, sent)] = started
        return code, sent, content


def environ_of(scope: Mapping[str, Any], multiprocess: bool = False) -> dict[str, Any]:
    """The WSGI environment of an ASGI scope, without the body (PEP 3333)."""
    server = scope.get("server") or ("", None)
    client = scope.get("client") or ("", None)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": path_info(scope["raw_path"]),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or ""),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1] or ""),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": multiprocess,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        # `X_Name` would become the same variable as `X-Name`, which a proxy may have checked.
        if b"_" in name or name == b"transfer-encoding":
            continue
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    return environ
