"""The position at which the log of a shard continues after a state that is written as a whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stores.kafka.log_check import LogIdentity
from stores.kafka.record import Mark


@dataclass(frozen=True)
class LogStart:
    """The position at which a shard's log continues after the written state.

    Attributes:
        log: the log; None where it is not known yet.
        applied: offset of the last of its records that the state holds already.
        dead: dead letters up to there, by reason.
        tail: the last of its records that the state holds; None where that is not known.
        lost: runs of offsets, as (first, end), that the log is known to lack.
    """

    log: LogIdentity | None = None
    applied: int = -1
    dead: Mapping[str, int] = field(default_factory=dict)
    tail: Mark | None = None
    lost: Sequence[tuple[int, int]] = ()

    def fields(self) -> dict[str, str]:
        """The fields that the shard stores about its log."""
        fields = {"cluster": self.log.cluster, "topic": self.log.topic} if self.log else {}
        if self.tail is not None:
            fields["tail"] = str(self.tail)
        if self.lost:
            fields["lost"] = json.dumps(self.lost)
        return fields


BEGINNING = LogStart()
"""The beginning of a log that is not known yet."""
