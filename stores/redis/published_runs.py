"""The runs that `publish` put live, which belong to all generations of the state.

reelstream:run         JSON: the run in use; its one switch at publishing is the writing of this key
reelstream:run:before  JSON: the run that a rollback returns to
reelstream:version     number of the newest version that a publish was given
reelstream:reference   hash run -> JSON: what the runs' inputs, labels and scores were like at training
reelstream:ids         hash run -> JSON: the users and items that the run was trained with
reelstream:metadata    hash run -> the regression that gives vectors to items that came after the run's training
reelstream:vectors:RUN FP32 [items, D + 1]: vector and weight of each item of the run, in the order of its ids
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

import numpy as np

from features import Id
from features.schema import Floats
from features.stored import Record, VersionError
from scoring.metadata import Regression
from scoring.run_ids import RunIds
from stores.errors import LockLost, OtherVersion
from stores.redis.connection import Client, reachable
from stores.redis.live import LiveRun
from stores.redis.publish_lock import LOCK, PublishLock

RUN = "reelstream:run"
PREVIOUS = "reelstream:run:before"
VERSION = "reelstream:version"
REFERENCE = "reelstream:reference"
IDS = "reelstream:ids"
METADATA = "reelstream:metadata"
VECTORS = "reelstream:vectors"

R = TypeVar("R", bound=Record)

REPLACE_RUN = "go back to that release, or replace it with `reelstream publish --force`"

SWITCH = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 1 end
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[2] then return 2 end
redis.call('SET', KEYS[2], ARGV[3])
if ARGV[4] == '' then redis.call('DEL', KEYS[3]) else redis.call('SET', KEYS[3], ARGV[4]) end
return 0
"""
"""Switches the live run where the caller holds the lock and the live run is the one that the caller read."""

NEXT_VERSION = """
local version = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(ARGV[1])) + 1
redis.call('SET', KEYS[1], version)
return version
"""


class PublishedRuns:
    """Reads and writes the run in use, the one before it, and what belongs to runs."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def run(self) -> LiveRun | None:
        """The run in use, None before the first.

        Raises:
            OtherVersion: if it has another version.
        """
        return read_record(LiveRun, self._get(RUN), "the live run", REPLACE_RUN)

    def previous_run(self) -> LiveRun | None:
        """The run that was in use before, None before the second.

        Raises:
            OtherVersion: if it has another version.
        """
        return read_record(LiveRun, self._get(PREVIOUS), "the previous run", "publish a run by its name")

    def run_to_replace(self, force: bool = False) -> tuple[LiveRun | None, bytes]:
        """The run in use, and its stored form, by which `switch` knows it again.

        Args:
            force: give None in place of a run that cannot be read.

        Raises:
            OtherVersion: if it has another version, unless forced.
        """
        packed = self._get(RUN) or b""
        try:
            return read_record(LiveRun, packed, "the live run", REPLACE_RUN), packed
        except (OtherVersion, ValueError):
            if not force:
                raise
            return None, packed

    def switch(self, run: LiveRun, stored: bytes, previous: LiveRun | None, lock: PublishLock) -> None:
        """Switch to a run, in one step with the run that a rollback returns to.

        Args:
            run: the run to put live.
            stored: the run in use, as `run_to_replace` gave it.
            previous: the run that a rollback returns to; None for none.
            lock: the lock, which must still be held.

        Raises:
            LockLost: if it is not, or if the run in use is another by now; nothing is changed.
            Unreachable: if Redis does not answer; it may or may not have switched.
        """
        before = previous.model_dump_json() if previous else ""
        with reachable():
            keys = (LOCK, RUN, PREVIOUS)
            values = (lock.value, stored, run.model_dump_json(), before)
            refused = cast(int, self.client.eval(SWITCH, len(keys), *keys, *values))
        if refused == 1:
            raise lock.lost()
        if refused == 2:
            raise LockLost("the live run was changed without the lock; nothing was switched; run the command again")

    def new_version(self, above: int) -> int:
        """A version number that no publish was given before, above that of everything that is there."""
        with reachable():
            return int(cast(int, self.client.eval(NEXT_VERSION, 1, VERSION, above)))

    def reference(self, run: str) -> Any:
        """The reference of a run as its folder has it; None where it has none."""
        text = self.reference_text(run)
        return json.loads(text) if text else None

    def reference_text(self, run: str) -> str | None:
        """The reference of a run as JSON; None where it has none."""
        return self._text(REFERENCE, run)

    def set_reference(self, run: str, text: str) -> None:
        """Write the reference of a run."""
        with reachable():
            self.client.hset(REFERENCE, run, text)

    def ids(self, run: str) -> RunIds | None:
        """The ids of a run; None where none are stored.

        Raises:
            OtherVersion: if they are of another version.
        """
        text = self.ids_text(run)
        try:
            return RunIds.unpack(text) if text else None
        except VersionError as error:
            raise OtherVersion(
                f"the ids of run {run} in Redis are of another release: {error}; {REPLACE_RUN}"
            ) from error

    def ids_text(self, run: str) -> str | None:
        """The ids of a run as JSON; None where none are stored."""
        return self._text(IDS, run)

    def set_ids(self, run: str, ids: RunIds) -> None:
        """Write the ids of a run, before it goes live."""
        with reachable():
            self.client.hset(IDS, run, ids.pack())

    def forget_users(self, userids: Collection[Id]) -> None:
        """Take users who are erased out of the ids of all runs; all others keep their numbers.

        Raises:
            OtherVersion: if the ids of a run are of another version.
            Unreachable: if Redis does not answer.
        """
        for run in self._runs_in(IDS):
            ids = self.ids(run)
            if ids is not None and any(userid in ids.users for userid in userids):
                self.set_ids(run, ids.without_users(userids))

    def regression(self, run: str) -> Regression | None:
        """The regression of a run; None where none is stored, as of one that an earlier release published.

        Raises:
            OtherVersion: if it is of another version.
            ValueError: if it is none.
        """
        with reachable():
            packed = cast("bytes | None", self.client.hget(METADATA, run))
        try:
            return Regression.unpack(packed) if packed else None
        except VersionError as error:
            raise OtherVersion(
                f"the regression of run {run} in Redis is of another release: {error}; {REPLACE_RUN}"
            ) from error

    def item_rows(self, run: str, numbers: Sequence[int], dim: int) -> list[Floats | None]:
        """Vector and weight of items of a run by their numbers from 1, FP32 [dim + 1] each; None where none is stored.

        Args:
            run: its id.
            numbers: of the items.
            dim: of a vector.
        """
        width = 4 * (dim + 1)
        pipe = self.client.pipeline(transaction=False)
        for number in numbers:
            pipe.getrange(f"{VECTORS}:{run}", (number - 1) * width, number * width - 1)
        with reachable():
            rows = cast("list[bytes]", pipe.execute())
        return [np.frombuffer(row, dtype=np.float32) if len(row) == width else None for row in rows]

    def set_items(self, run: str, regression: Regression, rows: Floats) -> None:
        """Write the regression of a run, and its rows FP32 [items, dim + 1] as `item_rows` gives them."""
        write = self.client.pipeline(transaction=True)
        write.set(f"{VECTORS}:{run}", np.ascontiguousarray(rows, dtype=np.float32).tobytes())
        write.hset(METADATA, run, cast(Any, regression.pack()))
        with reachable():
            write.execute()

    def weigh_items(self, prior: Mapping[Id, float]) -> None:
        """Give the items of all runs other weights; those that are not among them keep theirs.

        Raises:
            OtherVersion: if the ids of a run are of another version.
            Unreachable: if Redis does not answer.
        """
        for run in self._runs_in(METADATA):
            ids = self.ids(run)
            with reachable():
                packed = cast("bytes | None", self.client.get(f"{VECTORS}:{run}"))
            if ids is None or not packed or not len(ids.items) or len(packed) % (4 * len(ids.items)):
                continue  # lost or damaged, which `verify` reports
            rows = np.frombuffer(packed, dtype=np.float32).reshape(len(ids.items), -1).copy()
            rows[:, -1] = [
                weight if itemid is None else prior.get(itemid, weight)
                for itemid, weight in zip(ids.items.ids, rows[:, -1], strict=True)
            ]
            with reachable():
                self.client.set(f"{VECTORS}:{run}", rows.tobytes())

    def keep_runs(self, keep: Collection[str]) -> None:
        """Forget all that is stored of other runs than `keep`."""
        with reachable():
            vectors = cast("Iterable[bytes]", self.client.scan_iter(match=f"{VECTORS}:*", count=1000))
            kept = {f"{VECTORS}:{run}".encode() for run in keep}
            if stale_vectors := [key for key in vectors if key not in kept]:
                self.client.delete(*stale_vectors)
            for key in (REFERENCE, IDS, METADATA):
                if stale := set(self._runs_in(key)) - set(keep):
                    self.client.hdel(key, *stale)

    def _runs_in(self, key: str) -> list[str]:
        """The runs that a hash has something of."""
        with reachable():
            return [run.decode() for run in cast("list[bytes]", self.client.hkeys(key))]

    def _text(self, key: str, run: str) -> str | None:
        with reachable():
            packed = cast("bytes | None", self.client.hget(key, run))
        return packed.decode() if packed else None

    def _get(self, key: str) -> bytes | None:
        with reachable():
            return cast("bytes | None", self.client.get(key))


def read_record(model: type[R], packed: bytes | None, what: str, remedy: str) -> R | None:
    """A record from what is stored; None where nothing is.

    Raises:
        OtherVersion: if it has another version.
        ValueError: if it is no such record.
    """
    try:
        return model.read(packed) if packed else None
    except VersionError as error:
        raise OtherVersion(f"{what} in Redis is of another release: {error}; {remedy}") from error
