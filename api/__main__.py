"""The API under gunicorn: `python -m api`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

from settings import Settings, load, logs


def main() -> None:
    """Serve until stopped."""
    settings = load()
    logs.set_up(settings.log_level)
    # By port, so that a second API of the same state folder does not delete the metrics of the first.
    folder = settings.state / "api" / str(settings.api.port)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # prometheus_client reads it when it is first imported, so the application is imported after.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)

    def application() -> Any:
        from api.app import create_app

        return create_app(settings)

    server(settings, application).run()


def server(settings: Settings, application: Callable[[], Any]) -> Any:
    """Gunicorn with the front and a WSGI application, which each process makes for itself."""
    from gunicorn.app.base import BaseApplication

    from api.front import GRACEFUL_S, Buffered, worker_class

    class Server(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            host = f"[{settings.api.host}]" if ":" in settings.api.host else settings.api.host
            self.cfg.set("bind", f"{host}:{settings.api.port}")
            self.cfg.set("workers", settings.api.workers)
            self.cfg.set("worker_class", worker_class(settings.api))
            self.cfg.set("graceful_timeout", GRACEFUL_S + 2)
            # A process that is still starting is not one that hangs, on a machine with much to do.
            self.cfg.set("timeout", 120)
            self.cfg.set("proc_name", "reelstream-api")
            self.cfg.set("control_socket_disable", True)
            self.cfg.set("child_exit", forget)

        def load(self) -> Any:
            return Buffered(application(), settings.api)

    return Server()


def forget(server: Any, worker: Any) -> None:
    """Drop the gauges of a process that ended."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
