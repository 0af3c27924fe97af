"""uvicorn and uvicorn-worker: the parser's callbacks and the worker's loop, which `api/front` overrides.

uvicorn limits neither the size of a request's head nor the time that a client takes, and has no hook for either.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn_worker import UvicornWorker

TESTED = {"uvicorn": "0.54.0", "uvicorn-worker": "0.4.0"}

__all__ = ["STATUS_LINE", "HttpToolsProtocol", "UvicornWorker"]
