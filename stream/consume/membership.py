"""The membership of a worker in Kafka's consumer group, after it was killed.

Kafka keeps the partitions of a member that says nothing for `stream.session_timeout_s`, as it may still be there. A
worker that is restarted knows better: the process before it has ended. So each worker has a client id that it keeps,
and removes the members of that id before it joins.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from settings import KafkaSettings
from stores import StoreError
from stores.archive import durable
from stores.kafka.members import remove_members

log = logging.getLogger("reelstream.stream")

CLIENT_ID = re.compile("reelstream-[0-9a-f]{32}")
"""Random, as two machines may have the same name, and one must not remove the workers of the other."""


def client_id(folder: Path) -> str:
    """The client id of the worker that has a folder; the same one each time that it is started."""
    file = folder / "client-id"
    with suppress(FileNotFoundError, UnicodeDecodeError):
        if CLIENT_ID.fullmatch(kept := file.read_text(encoding="ascii").strip()):
            return kept
    made = f"reelstream-{uuid4().hex}"
    durable.make_folder(folder)
    durable.write(file, made.encode())
    return made


def remove_predecessor(settings: KafkaSettings, folder: Path) -> None:
    """Remove from the group the worker that had a folder before, which has ended.

    Where that fails, its partitions are assigned once its session has ended.
    """
    try:
        if remove_members(settings, client_id(folder)):
            log.info("the worker before this one had not left the consumer group; removed it")
    except StoreError as error:
        log.warning("the worker before this one could not be removed from the consumer group: %s", error)
