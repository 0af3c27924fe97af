"""The API under gunicorn: `python -m api`."""

from __future__ import annotations

import os
import shutil
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
    _server(settings).run()


def _server(settings: Settings) -> Any:
    from gunicorn.app.base import BaseApplication

    class Server(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            self.cfg.set("bind", f"{settings.api.host}:{settings.api.port}")
            self.cfg.set("workers", settings.api.workers)
            # More than work at once, so that a request too many is refused rather than left waiting.
            self.cfg.set("threads", 4 * settings.api.threads)
            self.cfg.set("worker_connections", 16 * settings.api.threads)
            self.cfg.set("worker_class", "gthread")
            self.cfg.set("graceful_timeout", 10)
            # A process that is still starting is not one that hangs, on a machine with much to do.
            self.cfg.set("timeout", 120)
            self.cfg.set("proc_name", "reelstream-api")
            self.cfg.set("control_socket_disable", True)
            self.cfg.set("child_exit", forget)

        def load(self) -> Any:
            from api.app import create_app

            return create_app(settings)

    return Server()


def forget(server: Any, worker: Any) -> None:
    """Drop the gauges of a process that ended."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
