"""The configuration of topics."""

from __future__ import annotations

import time
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType

from stores.errors import Unreachable

KNOWN_WITHIN_S = 10.0
"""Seconds that a broker gets to know a topic that was just created."""


def config_of(admin: Any, topic: str) -> dict[str, str]:
    """The configuration in force for a topic, whether it is set on the topic or comes from the broker.

    By default kafka-python reports only what is set on the topic itself. A broker may come to know a topic only a
    moment after it was created.

    Raises:
        Unreachable: if Kafka does not know the topic.
    """
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    until = time.monotonic() + KNOWN_WITHIN_S
    while True:
        found = admin.describe_configs([resource], config_filter="all")["topic"][topic]
        if found:
            return {name: str(config["value"]) for name, config in found.items()}
        if time.monotonic() > until:
            raise Unreachable(f"Kafka does not know topic {topic}, which was just created; try again")
        time.sleep(0.05)


def set_config(admin: Any, topic: str, **configs: str) -> None:
    """Set some of a topic's configuration, and leave the rest as it is; `_` in a name stands for `.`."""
    values = {name.replace("_", "."): value for name, value in configs.items()}
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, values)])
