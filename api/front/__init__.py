"""The front of the API: an event loop that receives complete requests and sends the answers.

A thread is occupied only by a request that has arrived in full, and only until its answer is ready. A client that sends
or reads slowly, or not at all, occupies a connection. Each connection has a time limit, and when all are in use, the
client that has kept the API waiting longest is disconnected.

    protocol       HTTP on one connection, with limits on size and time
    clients        the connections, and whose turn it is on each
    application    the WSGI application in threads
    worker         the gunicorn worker that runs all of it
"""

from api.front.application import Buffered
from api.front.worker import GRACEFUL_S, worker_class

__all__ = ["GRACEFUL_S", "Buffered", "worker_class"]
