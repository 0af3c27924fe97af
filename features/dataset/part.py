"""The base of the models of a description, and the types that they share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_ID = 2**31 - 1
"""Greatest integer id; the least is 1."""

MAX_ID_LENGTH = 128
"""Most characters of a string id, which is a key of Kafka and part of one of Redis."""

MAX_SECONDS = 2**32 - 1
"""Latest time of an event, in unix seconds."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
"""A name that ends up in fields of Feast, Elasticsearch and JSON."""

Strings = Annotated[tuple[str, ...], Field(strict=False)]
Floats = Annotated[tuple[float, ...], Field(strict=False)]


class Part(BaseModel):
    """A part of a description: no key that it does not declare, no value of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
