"""The requirement that the log is the one that the state was folded from, for commands that rely on both."""

from __future__ import annotations

from offline.state import state_snapshot
from settings import Settings
from stores import LogError, Profiles
from stores.kafka.log_check import WAY_OUT
from stores.kafka.log_probe import LogProbe
from stores.redis.shard_log import ShardLogs


def require_own_log(settings: Settings, profiles: Profiles, base: str | None) -> None:
    """Require that the log is the one that the state was folded from, and that all of it is there.

    Args:
        base: the snapshot of the state that the log follows; None where it follows the offline history.

    Raises:
        LogError: if it is not; the message is that of the first partition.
        Unreachable: if a store does not answer.
    """
    positions = ShardLogs(profiles).positions()
    begins = state_snapshot.next_offsets(settings, base, profiles.partitions)
    probe = LogProbe(settings.kafka, settings.log_heads)
    try:
        checks = probe.check(positions)
    finally:
        probe.close()
    for partition, checked in checks.items():
        if why := checked.why or checked.position.stopped:
            raise LogError(why)
        if checked.bounds.start > begins[partition]:
            raise LogError(
                f"partition {partition}: the log begins at offset {checked.bounds.start}, but is folded from offset "
                f"{begins[partition]}; {WAY_OUT}"
            )
