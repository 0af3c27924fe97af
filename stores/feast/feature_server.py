"""The Feast server, for callers outside: `python -m stores.feast.feature_server`.

Feast's server can also write features, start jobs and chat. Callers outside only read, and need two of its routes:
everything else is refused before it reaches Feast.

It serves the generation of the state that is live: a thread opens another one when it goes live, and each request is
answered by the one that is open when Feast asks for its store. Before the first snapshot, nothing is declared.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, cast

from compat.feast import FeatureStore, read_server
from features.schema import Schema
from settings import FeastSettings, Settings, load, logs
from settings.hosts import is_known_host, names_of
from stores.errors import NotPublished, StoreError
from stores.feast.feature_store import Features, open_store
from stores.redis.connection import connect
from stores.redis.generations import Generations
from stores.redis.published import Published

log = logging.getLogger("reelstream.stores")

ROUTES = {"/get-online-features": "POST", "/health": "GET"}
"""Method of each path that is served."""

REGISTRY_TTL_S = 60

NOTHING = "nothing"
"""In place of the name of a generation: its registry declares nothing."""

SWITCHED_S = 0.5
"""Seconds between two looks at which generation of the state is live."""

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]
"""An ASGI application."""


class LiveStore:
    """Feast's store of the live generation of the state, to whoever takes it for a `FeatureStore`.

    Args:
        settings: all settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._client = settings, connect(settings.redis)
        self._opened: tuple[str, Schema] | None = None
        self._store = open_store(settings, NOTHING)
        self._thread: threading.Thread | None = None
        self.look()

    def __getattr__(self, name: str) -> Any:
        """An attribute of the store that is open."""
        return getattr(self._store, name)

    def look(self) -> None:
        """Open the live generation unless it is open; while Redis is away, all stays as it is."""
        try:
            live = Generations(self._client).live().name
            found = live, Published(self._client, live).schema()
        except NotPublished:
            return
        except StoreError as error:
            log.info("the live generation of the state is not known: %s", error)
            return
        if found != self._opened:
            generation, schema = found
            self._store, self._opened = Features(self._settings, schema, generation).store, found

    def follow(self) -> None:
        """Look again and again, in a thread of the process that serves."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, name="live generation", daemon=True)
            self._thread.start()

    def _follow(self) -> None:
        pause = threading.Event()
        while not pause.wait(SWITCHED_S):
            try:
                self.look()
            except Exception:
                log.exception("the live generation of the state cannot be opened; trying again")


class ReadOnly:
    """An ASGI application of which callers reach `ROUTES` alone, and only under names that are its own.

    Args:
        app: the application.
        names: its own names.
        started: called in the process that serves, when it starts.
    """

    def __init__(self, app: App, names: Collection[str], started: Callable[[], None] = lambda: None) -> None:
        self._app, self._names, self._started = app, names, started

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Pass a permitted request on; refuse any other, and every web socket."""
        if scope["type"] == "lifespan":
            self._started()
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


def server(store: LiveStore, settings: FeastSettings) -> Any:
    """Create Feast's server with its application read-only."""
    return read_server(
        cast(FeatureStore, store),
        lambda app: ReadOnly(app, names_of(settings.hosts), store.follow),
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
    server(LiveStore(settings), settings.feast).run()


if __name__ == "__main__":
    main()
