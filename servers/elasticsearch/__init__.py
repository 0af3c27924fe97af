"""Elasticsearch: its installation and launch (`server`), and the process that runs it (`node`)."""

from servers.elasticsearch.server import VERSION, home, install, part

__all__ = ["VERSION", "home", "install", "part"]
