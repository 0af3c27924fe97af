"""Elasticsearch 9.2.0: one node, put together from Maven Central's jars, run inside Python (`node`)."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from servers import java
from servers.component import LOOPBACK, Component, Launch, Port, loopback_port
from servers.errors import Unsupported
from servers.http_probe import expect_ok
from servers.paths import REPOSITORY, Layout, cache
from settings import Settings

VERSION = "9.2.0"
COORDINATES = (
    f"org.elasticsearch:elasticsearch:{VERSION}",
    f"org.elasticsearch.plugin:transport-netty4:{VERSION}",
)

DESCRIPTOR = f"""\
name=transport-netty4
description=Netty 4 based transport implementation
version={VERSION}
elasticsearch.version={VERSION}
java.version=21
classname=org.elasticsearch.transport.netty4.Netty4Plugin
"""

LOGGERS = """\
logger.node.name = org.elasticsearch.node
logger.node.level = info
# The native libraries and the vector module are not among the jars; Elasticsearch does without them.
logger.native.name = org.elasticsearch.nativeaccess
logger.native.level = off
logger.vectors.name = org.apache.lucene.internal.vectorization
logger.vectors.level = error
"""


def home() -> Path:
    """The installed home: `lib` with the class path, `modules/transport-netty4` with the network module."""
    return cache() / f"elasticsearch-{VERSION}"


def install() -> None:
    """Fetch the jars and put the home together where it is missing."""
    if home().is_dir():
        return
    home().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".elasticsearch-", dir=home().parent) as work:
        built = Path(work) / "home"
        module = built / "modules" / "transport-netty4"
        module.mkdir(parents=True)
        java.fetch(COORDINATES, built / "lib")
        for pattern in ("netty-*.jar", "transport-netty4-*.jar"):
            for jar in (built / "lib").glob(pattern):
                shutil.move(jar, module / jar.name)
        (module / "plugin-descriptor.properties").write_text(DESCRIPTOR)
        if not home().is_dir():
            built.rename(home())


def component(settings: Settings) -> Component:
    """Elasticsearch as a component of the system."""
    if settings.elasticsearch.url.startswith("https:") or settings.elasticsearch.username:
        raise Unsupported(
            "the Elasticsearch that `reelstream up` starts has no TLS and no users; "
            f"set elasticsearch.url to http://{LOOPBACK}:PORT and leave elasticsearch.username empty"
        )
    port = loopback_port(settings.elasticsearch.url, "elasticsearch.url")
    return Component(
        name="elasticsearch",
        ports=(
            Port(port, "elasticsearch.url"),
            Port(settings.elasticsearch.transport_port, "elasticsearch.transport_port"),
        ),
        launch=lambda: _launch(settings, port),
        probe=lambda: _probe(port),
    )


def _launch(settings: Settings, port: int) -> Launch:
    layout = Layout(settings.state)
    data, config = layout.make_folders("elasticsearch")
    (config / "log4j2.properties").write_text(java.LOG4J + LOGGERS)
    return Launch(
        argv=[
            sys.executable,
            "-m",
            "servers.elasticsearch.node",
            f"--home={home()}",
            f"--config={config}",
            f"--data={data}",
            f"--logs={layout.logs}",
            f"--heap-mb={settings.elasticsearch.heap_mb}",
            f"--http-port={port}",
            f"--transport-port={settings.elasticsearch.transport_port}",
        ],
        environment={},
        directory=REPOSITORY,
    )


def _probe(port: int) -> None:
    """The cluster is at least yellow, and a search over all that there is succeeds."""
    expect_ok(port, "/_cluster/health?wait_for_status=yellow&timeout=1s")
    expect_ok(port, "/_search", method="POST", json={"size": 0})
