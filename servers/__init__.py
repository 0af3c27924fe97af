"""The real servers on this machine, without Docker: Kafka, Elasticsearch, Redis, Triton, and our own processes.

`up` starts what is missing under a process supervisor and returns when every component has answered a real request;
`down` stops everything and leaves the data. All of it listens on the loopback address only.
"""

from servers.components import STORES
from servers.errors import (
    LowResources,
    NotReady,
    NotRunning,
    PortTaken,
    ServersError,
    SetupFailed,
    Unsupported,
)
from servers.health import ComponentStatus
from servers.readiness import Progress, Started
from servers.system import down, pid, restart, setup, start, status, stop, up
from servers.triton.server import derive
from servers.triton.server import models as derived_models

__all__ = [
    "STORES",
    "ComponentStatus",
    "LowResources",
    "NotReady",
    "NotRunning",
    "PortTaken",
    "Progress",
    "ServersError",
    "SetupFailed",
    "Started",
    "Unsupported",
    "derive",
    "derived_models",
    "down",
    "pid",
    "restart",
    "setup",
    "start",
    "status",
    "stop",
    "up",
]
