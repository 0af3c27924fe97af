"""The Feast server, for callers outside: `python -m stores.feast.feature_server`.

Feast's server can also write features, start jobs and chat. Callers outside only read, and need two of its routes:
everything else is refused before it reaches Feast.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

from compat.feast import read_server
from settings import FeastSettings, load, logs
from settings.hosts import is_known_host, names_of
from stores.feast.feature_store import Features

ROUTES = {"/get-online-features": "POST", "/health": "GET"}
"""Method of each path that is served."""

REGISTRY_TTL_S = 60

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]
"""An ASGI application."""


class ReadOnly:
    """An ASGI application of which callers reach `ROUTES` alone, and only under names that are its own."""

    def __init__(self, app: App, names: Collection[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Pass a permitted request on; refuse any other, and every web socket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
            return
        status, why = refusal
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(why)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": why.encode()})

    def _refusal(self, scope: Message) -> tuple[int, str] | None:
        headers = dict(scope["headers"])
        if not is_known_host(headers.get(b"host", b"").decode("latin-1"), self._names):
            return 421, "this host is not allowed; add it to the setting feast.hosts\n"
        method = ROUTES.get(scope["path"])
        if method is None:
            return 404, f"not found; this server only serves {', '.join(ROUTES)}\n"
        if scope["method"] != method:
            return 405, f"{scope['path']} takes {method}\n"
        if method == "POST" and headers.get(b"content-type", b"").partition(b";")[0].strip() != b"application/json":
            return 415, "send Content-Type: application/json\n"
        return None


def server(features: Features, settings: FeastSettings) -> Any:
    """Create Feast's server with its application read-only."""
    return read_server(
        features.store,
        lambda app: ReadOnly(app, names_of(settings.hosts)),
        registry_ttl_sec=REGISTRY_TTL_S,
        bind=f"{settings.host}:{settings.port}",
        workers=1,
        keepalive=30,
        # Feast's server restarts its worker every 1,000 requests unless told not to.
        max_requests=0,
        # Through it, gunicorn can be told to reload or stop.
        control_socket_disable=True,
    )


def main() -> None:
    """Serve until stopped."""
    settings = load()
    logs.set_up(settings.log_level)
    server(Features(settings), settings.feast).run()


if __name__ == "__main__":
    main()
