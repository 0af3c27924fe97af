"""The part of the log that only the archive holds, or that is of an earlier epoch, folded into the state that follows.

Workers fold the newest epoch alone: before it, a user's events may be in other partitions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from features import EventError
from offline.state.epoch_fold import EpochFold
from offline.state.snapshot import Beginning, Shards
from settings import Settings
from stores import Logged, decode_event
from stores.archive.whole_log import WholeLog


def fold_archived(
    settings: Settings,
    beginning: Beginning,
    shards: Shards,
    ends: Mapping[int, int],
    progress: Callable[[float], None],
    found_dead: Callable[[Logged, str], None] = lambda record, reason: None,
) -> Beginning:
    """Fold what the log no longer holds, or held in fewer partitions; workers then go on with the log itself.

    Args:
        settings: all settings.
        beginning: the state that archive and log follow.
        shards: the same state, which is folded in place; not the one in `beginning.archive`.
        ends: by partition, the offset up to before which events are folded.
        progress: told the share that is folded.
        found_dead: told of each record that is dead, and why.

    Raises:
        ArchiveError: if the archive is damaged.
        LogError: if neither archive nor log holds an event.
        Unreachable: if Kafka does not answer.
    """
    dead = [Counter(reasons) for reasons in beginning.dead]
    log = WholeLog(settings)
    folded, total = 0, sum(max(0, end - beginning.next_offsets[partition]) for partition, end in ends.items())
    try:
        log.seek(beginning.next_offsets)
        fold = EpochFold(shards, log.epochs, beginning.next_offsets)
        for stage in log.epochs.stages(ends):
            for batch in log.read_to(stage):
                for record in batch:
                    partitions = log.epochs.spread(record.partition, record.offset)
                    try:
                        fold.take(record, decode_event(record, shards.schema, partitions, settings.stream.max_future_s))
                    except EventError as error:
                        dead[record.partition][str(error)] += 1
                        found_dead(record, str(error))
                folded += len(batch)
                # Offsets of markers hold no record.
                progress(min(1.0, folded / max(1, total)))
        fold.finish()
    finally:
        log.close()
    nexts = {partition: max(offset, ends[partition]) for partition, offset in beginning.next_offsets.items()}
    return replace(beginning, shards=shards, next_offsets=nexts, dead=dead)
