"""Elasticsearch: its installation and launch (`server`), and the process that runs it (`node`)."""

from servers.elasticsearch.server import VERSION, component, home, install

__all__ = ["VERSION", "component", "home", "install"]
