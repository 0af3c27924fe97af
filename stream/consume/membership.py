"""The name of a worker in Kafka's consumer group."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from stores.archive import durable

NAME = re.compile("[0-9a-f]{32}")
"""Random: two machines may have the same host name, and of two members of the same name Kafka ends one."""


def member_name(folder: Path) -> str:
    """The name of the worker that has a folder, which it keeps when it is restarted.

    Kafka gives a member that joins the group again under its name the partitions that it had. Without a name, those of
    a killed worker are nobody's for `stream.session_timeout_s`, however soon it is restarted.
    """
    file = folder / "member"
    with suppress(FileNotFoundError, UnicodeDecodeError):
        if NAME.fullmatch(name := file.read_text(encoding="ascii").strip()):
            return name
    name = uuid4().hex
    durable.make_folder(folder)
    durable.write(file, name.encode())
    return name
