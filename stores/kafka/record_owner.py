"""The owner of a record: the user whose key it has, or nobody, where it is of an item.

Items and users may have the same ids, and so the same keys in the log.
"""

from __future__ import annotations

import json

from features.changes import CHANGE_VERSION
from stores.kafka.record import Logged

FIELDS = {"schema_version", "itemid", "version", "item", "withdrawn"}
"""The fields of the change of an item."""


def is_of_item(value: bytes | None) -> bool:
    """Tell whether the value of a record is a change of an item, valid or not, and so of no user.

    >>> is_of_item(b'{"schema_version": 3, "itemid": 7, "version": 1, "withdrawn": true}')
    True
    >>> is_of_item(b'{"schema_version": 3, "userid": 7, "user": {}}'), is_of_item(b'{"userid": 7, "itemid": 7}')
    (False, False)
    """
    if not value or b'"itemid"' not in value or b'"schema_version"' not in value:
        return False
    try:
        fields = json.loads(value)
    except (ValueError, RecursionError):
        return False
    if not isinstance(fields, dict) or "itemid" not in fields or not fields.keys() <= FIELDS:
        return False
    version = fields.get("schema_version")
    return type(version) is int and version == CHANGE_VERSION


def is_keyed_by(record: Logged, key: bytes) -> bool:
    """Tell whether a record has the key of a user, and is not of the item of the same key."""
    return record.key == key and not is_of_item(record.value)
