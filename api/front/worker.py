"""The gunicorn worker that runs the front."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
from typing import Any

from api.front.clients import Clients
from api.front.protocol import FrontProtocol
from compat.uvicorn import UvicornWorker
from settings import ApiSettings

FILES = 512
"""Files that a process opens in addition to its connections."""

GRACEFUL_S = 10
"""Seconds that requests at work get to be answered when the process stops."""

KEEP_ALIVE_S = 5
"""Seconds that a connection stays open for another request."""

PARENT_EVERY_S = 1.0


def worker_class(api: ApiSettings) -> type[UvicornWorker]:
    """The worker for these settings."""
    limit = max(16, min(api.connections, files() - FILES))
    made = Clients(limit, api.client_timeout_s)

    class Protocol(FrontProtocol):
        clients = made
        max_body = api.max_body_kb * 1024

    class Worker(UvicornWorker):  # type: ignore[misc]
        CONFIG_KWARGS: dict[str, Any] = {  # noqa: RUF012
            "loop": "uvloop",
            "http": Protocol,
            "interface": "asgi3",
            "ws": "none",
            "lifespan": "off",
            "access_log": False,
            "server_header": False,
            "timeout_keep_alive": KEEP_ALIVE_S,
            "timeout_graceful_shutdown": GRACEFUL_S,
        }

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            # A warning for each malformed request would let a client fill the disk.
            logging.getLogger("uvicorn.error").setLevel(logging.ERROR)

        async def _serve(self) -> None:
            watches = [asyncio.create_task(made.keep_sweeping()), asyncio.create_task(self._watch_parent())]
            try:
                await super()._serve()
            finally:
                for watch in watches:
                    watch.cancel()

        async def _watch_parent(self) -> None:
            """Stop when the parent is gone; otherwise the process would keep the port."""
            while os.getppid() == self.ppid:
                await asyncio.sleep(PARENT_EVERY_S)
            os.kill(os.getpid(), signal.SIGTERM)

    return Worker


def files() -> int:
    """Open files that a process may have, after asking for as many as it may ask for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return soft if soft != resource.RLIM_INFINITY else 1 << 20
