"""Elasticsearch 9.2.0: one node, put together from Maven Central's jars, run inside Python (`node`)."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from servers import aot, java
from servers.component import LOOPBACK, Component, Launch, Port, loopback_port
from servers.errors import Unsupported
from servers.http_probe import expect_ok
from servers.paths import REPOSITORY, Layout, cache
from settings import ElasticsearchSettings, Settings

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


QUICK_COMPILER = "-XX:TieredStopAtLevel=1"
"""Without it, Java spends most of the processor time of the first minutes on compiling what is used a lot again."""


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


def aot_cache() -> Path:
    """The AOT cache of the node."""
    # JPype, by which Python starts the node, puts a jar of its own beside them.
    jpype = find_spec("jpype")  # without loading it
    assert jpype is not None and jpype.origin is not None
    own = Path(jpype.origin).parents[1] / "org.jpype.jar"
    return aot.cache_file(f"elasticsearch-{VERSION}", [*java.jars(home() / "lib"), own])


def prepare(settings: Settings) -> None:
    """Make the AOT cache where it is missing."""
    aot.create(aot_cache(), lambda state, options: component(_in_training(settings, state), options), _train)


def component(settings: Settings, java_options: Sequence[str] | None = None) -> Component:
    """Elasticsearch as a component of the system.

    Args:
        settings: all settings.
        java_options: further options for Java; None: those by which it uses the AOT cache.

    Raises:
        Unsupported: the settings ask for what this node does not have.
    """
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
        launch=lambda: _launch(settings, port, aot.using(aot_cache()) if java_options is None else java_options),
        probe=lambda: _probe(port),
    )


def _launch(settings: Settings, port: int, java_options: Sequence[str]) -> Launch:
    layout = Layout(settings.state)
    data, config = layout.make_folders("elasticsearch")
    (config / "log4j2.properties").write_text(java.LOG4J + LOGGERS)
    compiler = (QUICK_COMPILER,) if settings.elasticsearch.quick_compiler else ()
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
            *(f"--java-option={option}" for option in (*java_options, *compiler)),
        ],
        environment={},
        directory=REPOSITORY,
    )


def _probe(port: int) -> None:
    """The cluster is at least yellow, and a search over all that there is succeeds."""
    expect_ok(port, "/_cluster/health?wait_for_status=yellow&timeout=1s")
    expect_ok(port, "/_search", method="POST", json={"size": 0})


def _in_training(settings: Settings, state: Path) -> Settings:
    port, transport_port = aot.free_ports(2)
    own = ElasticsearchSettings(url=f"http://{LOOPBACK}:{port}", transport_port=transport_port)
    return settings.model_copy(update={"state_dir": state, "elasticsearch": own})


def _train(component: Component) -> None:
    """Index documents and search them, by terms and by vectors."""
    port = component.ports[0].number
    fields = {
        "name": {"type": "keyword"},
        "words": {"type": "text"},
        "price": {"type": "float"},
        "vector": {"type": "dense_vector", "dims": 2, "similarity": "dot_product"},
    }
    expect_ok(port, "/training", method="PUT", json={"mappings": {"properties": fields}})
    document = {"name": "a", "words": "one two", "price": 1.5, "vector": [0.6, 0.8]}
    expect_ok(port, "/training/_doc/1?refresh=true", method="PUT", json=document)
    terms = {"bool": {"should": [{"term": {"name": "a"}}], "filter": [{"range": {"price": {"gt": 1}}}]}}
    near = {"field": "vector", "query_vector": [0.8, 0.6], "k": 1, "num_candidates": 1, "filter": terms}
    for search in ({"query": terms}, {"knn": near}):
        expect_ok(port, "/training/_search", method="POST", json=search)
