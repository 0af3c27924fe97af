"""Topics, their configuration, and the consumer group of the workers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import TopicAlreadyExistsError

from settings import KafkaSettings
from stores.errors import LogError, Unreachable
from stores.kafka.client import connected, reachable

GROUP = "reelstream"
"""The consumer group of the stream workers."""

LARGEST = "max.message.bytes"
TIMESTAMP, APPENDED = "message.timestamp.type", "LogAppendTime"
SEGMENT = "segment.bytes"
DEAD_BYTES = 8 << 20
"""Largest dead letter: the log takes batches of 1 MiB, and a record in a compressed one may be many times as large."""

LASTING = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "unclean.leader.election.enable": "false",
}
"""Configuration with which a topic keeps every event that Kafka has acknowledged."""

CHANGE_PARTITIONS = (
    "set kafka.partitions to what it was; or, to have more, set it to their number and run `reelstream rebuild`, which "
    "adds them"
)

KNOWN_WITHIN_S = 10.0
"""Seconds that a broker gets to know a topic that was just created."""


def ensure_topics(settings: KafkaSettings) -> None:
    """Make the topics where they are missing.

    Raises:
        LogError: if the topic of the events has another number of partitions than the settings say, or is configured
            so that Kafka may delete events.
        Unreachable: if Kafka does not answer.
    """
    keep = {"retention.ms": "-1", "retention.bytes": "-1"}
    # Of the time that a client claims, nothing can be concluded: see `decode_event`.
    segment = str(settings.segment_mb << 20)
    keep_appended = keep | {TIMESTAMP: APPENDED, SEGMENT: segment}
    keep_large = keep | {LARGEST: str(DEAD_BYTES)}
    keep_some = {"retention.ms": str(settings.features_keep_h * 3600 * 1000), "retention.bytes": "-1"}
    with reachable(settings):
        admin = connected(KafkaAdminClient, settings)
        try:
            for name, partitions, configs in (
                (settings.topic, settings.partitions, keep_appended),
                (settings.dead_topic, 1, keep_large),
                (settings.features_topic, 1, keep_some),
                (settings.alarms_topic, 1, keep),
            ):
                if name in admin.list_topics():
                    continue
                try:
                    admin.create_topics([NewTopic(name, partitions, -1, topic_configs=configs)])
                except TopicAlreadyExistsError:
                    continue
            # One that was made before dead letters could be as large.
            if int(config_of(admin, settings.dead_topic)[LARGEST]) < DEAD_BYTES:
                set_config(admin, settings.dead_topic, max_message_bytes=str(DEAD_BYTES))
            if config_of(admin, settings.topic)[TIMESTAMP] != APPENDED:
                set_config(admin, settings.topic, message_timestamp_type=APPENDED)
            if config_of(admin, settings.topic)[SEGMENT] != segment:
                set_config(admin, settings.topic, segment_bytes=segment)
            actual = len(admin.describe_topics([settings.topic])[0]["partitions"])
            lasting = {name: config_of(admin, name) for name in (settings.topic, settings.dead_topic)}
        finally:
            admin.close()
    for name, values in lasting.items():
        _require_lasting(name, values)
    if actual != settings.partitions:
        raise LogError(
            f"topic {settings.topic} has {actual} partitions, but the setting kafka.partitions is "
            f"{settings.partitions}; {CHANGE_PARTITIONS}"
        )


def partitions_of_topic(settings: KafkaSettings) -> int:
    """Number of partitions of the topic of the events; 0 where there is none.

    Raises:
        Unreachable: if Kafka does not answer.
    """
    with reachable(settings):
        admin = connected(KafkaAdminClient, settings)
        try:
            if settings.topic not in admin.list_topics():
                return 0
            return len(admin.describe_topics([settings.topic])[0]["partitions"])
        finally:
            admin.close()


def add_partitions(settings: KafkaSettings) -> None:
    """Give the topic of the events as many partitions as the settings say, and wait until each has a leader.

    Raises:
        Unreachable: if Kafka does not answer, or does not make them in time.
    """
    with reachable(settings):
        admin = connected(KafkaAdminClient, settings)
        try:
            described = admin.describe_topics([settings.topic])[0]["partitions"]
            if len(described) < settings.partitions:
                admin.create_partitions({settings.topic: settings.partitions})
            until = time.monotonic() + KNOWN_WITHIN_S
            while True:
                described = admin.describe_topics([settings.topic])[0]["partitions"]
                if len(described) == settings.partitions and all(each["leader_id"] >= 0 for each in described):
                    return
                if time.monotonic() > until:
                    raise Unreachable(f"Kafka did not add the partitions within {KNOWN_WITHIN_S:.0f} s; try again")
                time.sleep(0.1)
        finally:
            admin.close()


def _require_lasting(topic: str, configs: Mapping[str, str]) -> None:
    """Refuse a topic whose configuration lets Kafka delete events that it has acknowledged."""
    wrong = {name: configs[name] for name, value in LASTING.items() if configs.get(name, value) != value}
    if wrong:
        are = ", ".join(f"{name}={value}" for name, value in sorted(wrong.items()))
        to = ",".join(f"{name}={LASTING[name]}" for name in sorted(wrong))
        raise LogError(
            f"topic {topic} can lose events ({are}); change it with "
            f"`kafka-configs.sh --alter --topic {topic} --add-config {to}`"
        )


def delete_topics(settings: KafkaSettings) -> None:
    """Delete the topics with all their events, that of the events last, and wait until they are gone.

    Raises:
        Unreachable: if Kafka does not answer, or does not delete them in time.
    """
    with reachable(settings):
        admin = connected(KafkaAdminClient, settings)
        try:
            for topics in ({settings.dead_topic, settings.features_topic, settings.alarms_topic}, {settings.topic}):
                _delete(admin, topics)
        finally:
            admin.close()


def _delete(admin: KafkaAdminClient, topics: set[str]) -> None:
    if there := sorted(topics & set(admin.list_topics())):
        admin.delete_topics(there)
    for _ in range(100):
        if not topics & set(admin.list_topics()):
            return
        time.sleep(0.1)
    raise Unreachable("Kafka did not delete the topics within 10 s; try again")


def group_members(settings: KafkaSettings, group: str, within_s: float) -> int:
    """Consumers of a group, once it has none or `within_s` seconds have passed.

    Raises:
        Unreachable: if Kafka does not answer.
    """
    until = time.monotonic() + within_s
    with reachable(settings):
        admin = connected(KafkaAdminClient, settings)
        try:
            while True:
                # Kafka refuses to describe a group that it has never had.
                known = {entry["group_id"] for entry in admin.list_groups()}
                consumers = len(admin.describe_groups([group])[group]["members"]) if group in known else 0
                if not consumers or time.monotonic() > until:
                    return consumers
                time.sleep(0.2)
        finally:
            admin.close()


def committed_offsets(settings: KafkaSettings, group: str) -> dict[int, int]:
    """Offset of the first record of each partition of the log that a group has not acknowledged; none where that is
    not known.

    Raises:
        Unreachable: if Kafka does not answer.
    """
    with reachable(settings):
        admin = connected(KafkaAdminClient, settings)
        try:
            known = {entry["group_id"] for entry in admin.list_groups()}
            offsets = admin.list_group_offsets({group: None})[group] if group in known else {}
        finally:
            admin.close()
    return {
        partition.partition: committed.offset
        for partition, committed in offsets.items()
        if partition.topic == settings.topic and committed.offset >= 0
    }


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
        configs = admin.describe_configs([resource], config_filter="all")["topic"][topic]
        if configs:
            return {name: str(config["value"]) for name, config in configs.items()}
        if time.monotonic() > until:
            raise Unreachable(f"Kafka does not know topic {topic}, which was just created; try again")
        time.sleep(0.05)


def set_config(admin: Any, topic: str, **configs: str) -> None:
    """Set some of a topic's configuration, and leave the rest as it is; `_` in a name stands for `.`."""
    values = {name.replace("_", "."): value for name, value in configs.items()}
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, values)])
