"""Elasticsearch: its installation and launch (`server`), and the process that runs it (`node`)."""

from servers.elasticsearch.server import VERSION, aot_cache, component, home, install, prepare

__all__ = ["VERSION", "aot_cache", "component", "home", "install", "prepare"]
