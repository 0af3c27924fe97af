"""One Elasticsearch node in this process: `python -m servers.elasticsearch.node --home=... --http-port=...`.

Elasticsearch's own launcher is not on Maven Central; its node is, and is started here the way the launcher does it,
without the security manager, the command line and the bootstrap checks.
"""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

import jpype

from servers import java

ENDINGS = frozenset({signal.SIGTERM, signal.SIGINT})


def main() -> None:
    """Start the node, and close it on SIGTERM."""
    options = _options()
    # Blocked before the JVM makes its threads, so that only `sigwait` below sees them.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
    jpype.startJVM(
        str(java.JAVA_HOME / "lib" / "server" / "libjvm.so"),
        f"-Xms{options.heap_mb}m",
        f"-Xmx{options.heap_mb}m",
        "-Xrs",
        # With the line before, Java would open a socket in /tmp for debuggers.
        "-XX:+DisableAttachMechanism",
        "-XX:+UseSerialGC",
        # A collection of all that somebody asks for, as each index that comes or goes, stops every search for 0.1 s.
        "-XX:+DisableExplicitGC",
        "-XX:+ExitOnOutOfMemoryError",
        "--enable-native-access=ALL-UNNAMED",
        "-Djava.awt.headless=true",
        "-Dlog4j2.disable.jmx=true",
        "-Dio.netty.noUnsafe=true",
        *options.java_option,
        classpath=[str(jar) for jar in java.jars(options.home / "lib")],
    )
    node = _start(options)
    signal.sigwait(ENDINGS)
    node.close()
    jpype.shutdownJVM()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("home", "config", "data", "logs"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("heap-mb", "http-port", "transport-port"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--java-option", action="append", default=[])
    return parser.parse_args()


def _start(options: argparse.Namespace) -> jpype.JObject:
    java_map, java_set = jpype.JClass("java.util.Map"), jpype.JClass("java.util.Set")
    logging = jpype.JClass("org.elasticsearch.common.logging.LogConfigurator")
    preparer = jpype.JClass("org.elasticsearch.node.InternalSettingsPreparer")
    loader = jpype.JClass("org.elasticsearch.plugins.PluginsLoader")
    configuration = jpype.JClass("java.nio.file.Path").of(str(options.config))

    settings = jpype.JClass("org.elasticsearch.common.settings.Settings").builder()
    for key, value in _settings(options).items():
        settings.put(key, value)
    logging.setNodeName("reelstream")
    environment = preparer.prepareEnvironment(settings.build(), java_map.of(), configuration, None)
    logging.configureESLogging()
    logging.configure(environment, True)
    modules = loader.loadModulesBundles(environment.modulesDir())
    plugins = loader.createPluginsLoader(modules, java_set.of(), java_map.of(), False)
    return jpype.JClass("org.elasticsearch.node.Node")(environment, plugins).start()


def _settings(options: argparse.Namespace) -> dict[str, str]:
    return {
        "cluster.name": "reelstream",
        "node.name": "reelstream",
        "discovery.type": "single-node",
        "path.home": str(options.home),
        "path.data": str(options.data),
        "path.logs": str(options.logs),
        "network.host": "127.0.0.1",
        # It asks for no password, as its security module is not on Maven Central. With CORS on and no origin allowed it
        # refuses what a page of another site sends; off, it would only keep the page from reading the answer.
        "http.cors.enabled": "true",
        "action.destructive_requires_name": "true",
        "script.allowed_types": "none",
        "script.allowed_contexts": "none",
        "http.port": str(options.http_port),
        "http.type": "netty4",
        "transport.port": str(options.transport_port),
        "transport.type": "netty4",
    }


if __name__ == "__main__":
    main()
