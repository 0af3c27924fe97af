"""The findings of drift monitoring in Redis, under one hash tag:

{drift}:position     offset in the feature log up to which events are counted
{drift}:state        the monitor's own state, as it packs itself
{drift}:now          JSON: how each series stands
{drift}:histograms   hash series -> JSON
{drift}:timeline     list of JSON, newest last
{drift}:open         hash alarm -> JSON: open alarms
{drift}:closed       list of JSON, newest last
{drift}:quality      list of JSON, newest last
{drift}:trained      JSON: quality at training
{drift}:counts       hash partition -> JSON
{drift}:acknowledged hash cause -> JSON: what an operator has said of open alarms

All but the last changes in one transaction for each batch of the feature log, guarded by the position, so that what is
shown is exact under redelivery.

Every JSON record carries the version of its layout. A record that cannot be read, as one of a later release, is not
shown; a worker that takes up counting resets drift where it finds one that it would continue from.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TypeVar, cast

import redis

from drift.records import (
    Acknowledgement,
    Alarm,
    DriftNow,
    DriftUpdate,
    DriftWindow,
    PartitionCounts,
    QualityWindow,
    SeriesHistogram,
    TrainedQuality,
)
from features.stored import Record
from stores.errors import ShardLost
from stores.redis.connection import Client, reachable

TAG = "{drift}"
KEPT = 2000
"""Windows and closed alarms kept."""

M = TypeVar("M", bound=Record)


class DriftStore:
    """Reads and writes what drift has found; every method raises Unreachable where Redis does not answer."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def now(self) -> DriftNow | None:
        """Return the state of all series, worst first; None before the first window."""
        with reachable():
            packed = cast("bytes | None", self.client.get(f"{TAG}:now"))
        return _readable(packed, DriftNow)

    def histogram(self, series: str) -> SeriesHistogram | None:
        """A series' latest window next to the reference; None before the first."""
        with reachable():
            packed = cast("bytes | None", self.client.hget(f"{TAG}:histograms", series))
        return _readable(packed, SeriesHistogram)

    def timeline(self, last: int = KEPT) -> list[DriftWindow]:
        """The last windows, oldest first."""
        return self._last("timeline", last, DriftWindow)

    def alarms(self, last: int = KEPT) -> list[Alarm]:
        """Open alarms and the last closed ones: the open first, newest first.

        Raises:
            ValueError: if an open alarm cannot be read.
        """
        with reachable():
            opened = cast("list[bytes]", self.client.hvals(f"{TAG}:open"))
        closed = self._last("closed", last, Alarm) if last else []
        known = closed + [Alarm.read(text) for text in opened]
        return sorted(known, key=lambda alarm: (alarm.closed is None, alarm.opened), reverse=True)

    def acknowledged(self) -> dict[str, Acknowledgement]:
        """Acknowledgements by operators, by cause, without those that cannot be read."""
        with reachable():
            packed = cast("dict[bytes, bytes]", self.client.hgetall(f"{TAG}:acknowledged"))
        known = {cause.decode(errors="replace"): _readable(text, Acknowledgement) for cause, text in packed.items()}
        return {cause: acknowledgement for cause, acknowledgement in known.items() if acknowledgement is not None}

    def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """Keep what an operator has said; it replaces what was said of the cause before."""
        with reachable():
            self.client.hset(f"{TAG}:acknowledged", acknowledgement.cause, acknowledgement.model_dump_json())

    def quality(self, last: int = KEPT) -> list[QualityWindow]:
        """The last windows of quality, oldest first."""
        return self._last("quality", last, QualityWindow)

    def trained(self) -> TrainedQuality | None:
        """Quality at training of the run in use."""
        with reachable():
            packed = cast("bytes | None", self.client.get(f"{TAG}:trained"))
        return _readable(packed, TrainedQuality)

    def counts(self) -> dict[int, PartitionCounts]:
        """Return the counts by partition of the ratings.

        Raises:
            ValueError: if some cannot be read.
        """
        with reachable():
            packed = cast("dict[bytes, bytes]", self.client.hgetall(f"{TAG}:counts"))
        return {int(partition): PartitionCounts.read(text) for partition, text in sorted(packed.items())}

    def position(self) -> int:
        """Offset in the feature log up to which events are counted, -1 for none."""
        with reachable():
            value = cast("bytes | None", self.client.get(f"{TAG}:position"))
        return -1 if value is None else int(value)

    def state(self) -> tuple[int, bytes | None]:
        """(position, the monitor's own state as of it)."""
        with reachable():
            position, packed = cast("list[bytes | None]", self.client.mget(f"{TAG}:position", f"{TAG}:state"))
        return -1 if position is None else int(position), packed

    def write(self, before: int, position: int, update: DriftUpdate) -> None:
        """Write all that a batch changes, in one transaction.

        Args:
            before: the position that the update follows.
            position: offset of the last message of the feature log in it.
            update: the changes.

        Raises:
            ShardLost: if the stored position is not `before`: another worker counts. Nothing is written.
        """
        pipe = self.client.pipeline(transaction=True)
        try:
            with reachable():
                pipe.watch(f"{TAG}:position")  # type: ignore[no-untyped-call]
                stored = cast("bytes | None", pipe.get(f"{TAG}:position"))
                if (-1 if stored is None else int(stored)) != before:
                    raise ShardLost("drift is counted by another worker; this one stops")
                pipe.multi()
                pipe.set(f"{TAG}:position", position)
                if update.state is not None:
                    pipe.set(f"{TAG}:state", update.state)
                if update.now is not None:
                    pipe.set(f"{TAG}:now", update.now.model_dump_json())
                if update.trained is not None:
                    pipe.set(f"{TAG}:trained", update.trained.model_dump_json())
                for histogram in update.histograms:
                    pipe.hset(f"{TAG}:histograms", histogram.name, histogram.model_dump_json())
                for partition, counts in update.counts.items():
                    pipe.hset(f"{TAG}:counts", str(partition), counts.model_dump_json())
                for alarm in update.opened:
                    pipe.hset(f"{TAG}:open", alarm.key, alarm.model_dump_json())
                for alarm in update.closed:
                    pipe.hdel(f"{TAG}:open", alarm.key)
                if update.unacknowledged:
                    pipe.hdel(f"{TAG}:acknowledged", *update.unacknowledged)
                _append(pipe, "closed", update.closed)
                _append(pipe, "timeline", update.windows)
                _append(pipe, "quality", update.quality)
                pipe.execute()
        except redis.WatchError:
            raise ShardLost("drift is counted by another worker; this one stops") from None
        finally:
            pipe.reset()

    def start_over(self, position: int) -> None:
        """Count again what follows an offset of the feature log; what was shown stays.

        What the feature log holds up to there is of events that are lost, or that are folded and logged again.
        """
        pipe = self.client.pipeline(transaction=True)
        pipe.delete(*(f"{TAG}:{name}" for name in ("state", "counts", "open")))
        pipe.set(f"{TAG}:position", position)
        with reachable():
            pipe.execute()

    def delete_all(self) -> None:
        """Forget all of it."""
        names = ("position", "state", "now", "histograms", "timeline", "open", "closed", "quality", "trained", "counts")
        with reachable():
            self.client.delete(*(f"{TAG}:{name}" for name in names), f"{TAG}:acknowledged")

    def _last(self, name: str, last: int, model: type[M]) -> list[M]:
        with reachable():
            packed = cast("list[bytes]", self.client.lrange(f"{TAG}:{name}", -last, -1))
        records = [_readable(text, model) for text in packed]
        return [record for record in records if record is not None]


def _readable(stored: bytes | None, model: type[M]) -> M | None:
    """A record from what is stored; None where nothing is, or what cannot be read."""
    with suppress(ValueError):
        return model.read(stored) if stored else None
    return None


def _append(pipe: redis.client.Pipeline, name: str, entries: Iterable[Record]) -> None:
    lines = [entry.model_dump_json() for entry in entries]
    if lines:
        pipe.rpush(f"{TAG}:{name}", *lines)
        pipe.ltrim(f"{TAG}:{name}", -KEPT, -1)
