"""The members of the workers' consumer group."""

from __future__ import annotations

import logging

from kafka import KafkaAdminClient
from kafka.admin import MemberToRemove

from settings import KafkaSettings
from stores.kafka.client import connected, reachable
from stores.kafka.topics import GROUP

# Its admin client warns that it cannot decode what Faust's members tell each other.
logging.getLogger("kafka.admin").setLevel(logging.ERROR)

REASON = "its process has ended"


def remove_members(settings: KafkaSettings, client_id: str, group: str = GROUP) -> int:
    """Have Kafka reassign the partitions of dead members now, instead of when their sessions end.

    Args:
        settings: where Kafka is.
        client_id: of the members. One that is still running joins again.
        group: the consumer group.

    Returns:
        How many members were removed.

    Raises:
        Unreachable: if Kafka does not answer, or does not permit it.
    """
    with reachable(settings):
        admin = connected(KafkaAdminClient, settings)
        try:
            members = admin.describe_groups([group])[group]["members"]
            ended = [
                MemberToRemove(each["member_id"], reason=REASON) for each in members if each["client_id"] == client_id
            ]
            if ended:
                admin.remove_group_members(group, ended)
            return len(ended)
        finally:
            admin.close()
