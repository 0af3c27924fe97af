"""The real servers on this machine, without Docker: Kafka, Elasticsearch, Redis, Triton, and our own processes.

`up` starts what is missing under a process supervisor and returns once every component has answered a real request;
`down` stops everything and keeps the data. Everything listens on the loopback address only.

    system                                        up, down, start and stop
    components, component                         the components by name; what describes one
    kafka, elasticsearch/, redis, triton/         the servers: installation, configuration, launch and probe
    processes                                     our own processes: Feast server, workers, API
    supervisor, launch                            the process supervisor; what it runs to start a component
    preflight, readiness, health, crashes         checks before a start, waiting for it, status, past crashes
    java, aot                                     jars and the Java runtime; classes loaded beforehand
    paths, http_probe, errors                     folders; a probe over HTTP; errors
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
from servers.system import down, pid, pids, restart, setup, start, status, stop, up
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
    "pids",
    "restart",
    "setup",
    "start",
    "status",
    "stop",
    "up",
]
