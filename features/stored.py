"""Records that are stored as JSON, each with the version of its layout.

A record that was stored before records had versions has the version 1.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Self

import pydantic_core
from pydantic import BaseModel

FIRST_VERSION = 1
"""Version of a record that carries none."""


class VersionError(ValueError):
    """A stored value of a version that this release does not read."""


class Record(BaseModel):
    """A record with a version.

    A subclass whose layout changes gives `schema_version` another default, and names the older versions that it
    migrates, in a validator of the mode "before".

    Attributes:
        schema_version: of the layout.
    """

    schema_version: int = FIRST_VERSION

    @classmethod
    def read(cls, stored: bytes | str) -> Self:
        """The record in what is stored.

        Raises:
            VersionError: if it has a version that is neither today's nor migrated.
            ValueError: if it is not such a record.
        """
        fields = pydantic_core.from_json(stored)
        if isinstance(fields, dict):
            version = fields.get("schema_version", FIRST_VERSION)
            if type(version) is not int or version not in cls.migrated_versions():
                require_version(version, cls.current_version())
        return cls.model_validate(fields)

    @classmethod
    def migrated_versions(cls) -> Collection[int]:
        """Older versions that this release reads too."""
        return ()

    @classmethod
    def current_version(cls) -> int:
        """The version that this release writes and reads."""
        return int(cls.model_fields["schema_version"].default)


def require_version(stored: Any, current: int) -> None:
    """Refuse a value of another version.

    >>> require_version(2, 1)
    Traceback (most recent call last):
        ...
    features.stored.VersionError: it has the version 2 of its layout, this release reads 1
    """
    if type(stored) is not int or stored != current:
        named = stored if type(stored) is int else repr(stored)[:20]
        raise VersionError(f"it has the version {named} of its layout, this release reads {current}")
