"""Elasticsearch: its installation and launch (`server`), and the process that runs it (`node`)."""

from servers.elasticsearch.server import home, install, part

__all__ = ["home", "install", "part"]
