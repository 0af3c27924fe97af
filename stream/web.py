"""Routes and hosts of a stream worker's HTTP server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from settings.hosts import is_known_host

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def known_hosts(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests of web pages that have their own name resolve to this machine."""
    if not is_known_host(request.headers.get("Host")):
        raise web.HTTPMisdirectedRequest(text="this host is not allowed; use the worker's address or localhost\n")
    return await handler(request)


OPTIONS: dict[str, Any] = {
    # Faust's own pages, of which nobody needs any.
    "web_router_enabled": False,
    "web_tables_enabled": False,
    "web_application_options": {"middlewares": [known_hosts]},
}
"""Options of the Faust application."""
