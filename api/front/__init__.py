"""Front of the application: an event loop that takes requests in whole and sends answers.

A thread is spent only on a request that has arrived in full, and only until its answer is made. A client that sends or
reads slowly, or not at all, costs a connection; there are enough of them, each has its time, and where they run out the
client that has kept the API waiting longest loses its own.
"""

from api.front.application import Buffered
from api.front.worker import GRACEFUL_S, worker_class

__all__ = ["GRACEFUL_S", "Buffered", "worker_class"]
