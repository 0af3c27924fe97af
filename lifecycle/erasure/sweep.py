"""All that is left of erased users, in the order in which a process may be killed at any step and the next one goes on.

1.  archive      what a killed one has left is deleted; the log up to its end, so that the archive has every erasure
2.  find         the erasures that are folded, and whose time has come
3.  trim         the log before each partition's last of them
4.  state        what of the state follows from the offline history alone, and the states that `adopt` saved
5.  letters      dead letters, and inputs that drift has counted
6.  rows         feature rows and evicted profiles, which a worker that was killed may have left
7.  ids          what runs were trained with, whose models do not know the users any more
8.  refused      events of others that are dead as too many events waited say so themselves from now on
9.  history      the archives of logs that were given up, the offline history, and its data folder
10. records      the archive's files, in the order of the offsets: an erasure goes last
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from features import Id
from lifecycle.erasure import history, topics
from lifecycle.erasure.due import Due, Rules, due, users, with_former_homes
from lifecycle.erasure.files import rewrite_files, settle_files
from lifecycle.erasure.given_up import GivenUp, formers, given_up
from lifecycle.erasure.refused import mark_refused
from lifecycle.errors import LifecycleError
from lifecycle.switching import Progress
from offline import runs
from offline.data import readers
from offline.data.readers import Ratings
from offline.state.lock import lock
from settings import Settings
from stores import DriftStore, Generations, StateStores, Unreachable
from stores.archive.archive import Archive
from stores.archive.manifest import Manifest
from stores.feast.feature_store import Features
from stores.kafka.producer import Record, Sender
from stores.kafka.record import GONE
from stores.redis.shard_log import ShardLogs
from stream.archive.archiver import Archiver

DAY_S = 86_400.0
FOLD_WITHIN_S = 60.0
"""Seconds that workers get to fold the records after which the log is trimmed."""


@dataclass(frozen=True)
class Swept:
    """The result of a sweep.

    Attributes:
        users: of whom nothing is left.
        records: of theirs, replaced in the archive.
        letters: dead letters of theirs, deleted.
        inputs: messages of the feature log, deleted.
        waiting: erasures whose time has not come, or which are not folded yet.
        offsets: by partition, of the last erasure that is completed.
        left: the data folder, where it is elsewhere and still holds ratings of these users; it is not read any more.
        seconds: that it took.
    """

    users: int = 0
    records: int = 0
    letters: int = 0
    inputs: int = 0
    waiting: int = 0
    offsets: dict[int, int] = field(default_factory=dict)
    left: str | None = None
    seconds: float = 0.0


def sweep(settings: Settings, *, now: bool, progress: Progress) -> Swept:
    """Delete what is left of the users who were erased `erasure.within_days` ago or earlier.

    Args:
        settings: all settings.
        now: True to take all erasures that are folded, however late.
        progress: told of each step.

    Raises:
        ArchiveError: if the archive is damaged, or that of another log.
        LifecycleError: if a state that can be switched back to holds such users.
        LockTaken: if a publish, rollback, reset, adopt or rebuild is at work.
        Unreachable: if a store does not answer, or no worker folds.
    """
    began = time.monotonic()
    before_s = math.inf if now else time.time() - settings.erasure.within_days * DAY_S
    with lock(settings, "erase", progress):
        swept = _Sweep(settings, progress)(before_s)
    settings.erasure_mark.touch()
    return Swept(**{**vars(swept), "seconds": round(time.monotonic() - began, 1)})


class _Sweep:
    """One sweep, under the lock."""

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self._settings, self._progress = settings, progress
        self._live = StateStores.live(settings)
        self._archive = Archive(settings.archive_folder)

    def __call__(self, before_s: float) -> Swept:
        settings, archive = self._settings, self._archive
        self._require_shards()
        settle_files(archive)
        self._progress("archiving the log", 0.0)
        self._archive_log()
        self._progress("looking for erasures", 0.1)
        epochs = (archive.manifest() or Manifest()).log_epochs(self._live.profiles.partitions)
        rules = Rules(self._live.published.schema(), epochs, settings.stream.max_future_s)
        found = self._due(rules, before_s)
        dues = with_former_homes(found, epochs)
        waiting, lost = sum(each.left for each in found.values()), self._given_up(before_s)
        userids = users(dues) | lost.userids
        if not userids:
            return Swept(waiting=waiting, left=_named(history.rewrite_data_folder(settings, archive)))
        ratings = readers.load(settings)
        self._require_description(ratings)
        self._require_no_previous(dues, lost.userids)
        self._progress("trimming the log", 0.2)
        self._trim(dues)
        self._progress("rewriting the state", 0.4)
        self._rewrite_state(ratings, userids, dues, lost)
        self._progress("rewriting dead letters", 0.6)
        letters = topics.rewrite_letters(settings.kafka, userids)
        inputs = topics.delete_counted_inputs(settings, DriftStore(self._live.profiles.client))
        self._delete_rows(list(userids))
        self._progress("rewriting the ids of runs", 0.65)
        self._rewrite_ids(userids)
        offsets = {partition: each.end - 1 for partition, each in dues.items()}
        topic = self._topic()
        erased_to = lost.erased_to | ({topic: {**lost.erased_to.get(topic, {}), **offsets}} if offsets else {})
        mark_refused(settings, archive, ratings, self._live.profiles, dues)
        rewritten = rewrite_files(
            settings, archive, dues, userids, erased_to, rules, lambda what: self._progress(what, 0.7)
        )
        left = _named(rewritten.left)
        return Swept(len(userids), rewritten.records, letters, inputs, waiting, offsets, left)

    def _rewrite_state(self, ratings: Ratings, userids: Collection[Id], dues: Mapping[int, Due], lost: GivenUp) -> None:
        """Write what follows from the offline history again, and the states that `adopt` saved, without users."""
        settings, left = self._settings, ratings.without(userids)
        if len(left) < len(ratings):
            history.rewrite_state(settings, left, [self._live.generation, *self._previous()])
            history.rewrite_weights(settings, left)
        with self._archive.locked():  # so that a backup has the saved state from before or after
            history.rewrite_snapshots(settings, left.catalogue, self._topic(), dues, lost.userids, self._base())

    def _rewrite_ids(self, userids: Collection[Id]) -> None:
        """Take users out of the ids that runs were trained with, who are unknown to their models from then on."""
        self._live.published.forget_users(userids)
        for run in (*runs.names(self._settings), *runs.names(self._settings, validation=True)):
            if (self._settings.runs / run / runs.IDS).is_file():  # one of an earlier release has none
                runs.without_users(self._settings.runs / run, userids)

    def _require_shards(self) -> None:
        """Require that the live state has as many shards as the log has partitions."""
        manifest, shards = self._archive.manifest() or Manifest(), self._live.profiles.partitions
        if manifest.partitions not in (None, shards):
            raise LifecycleError(
                f"the log has {manifest.partitions} partitions, but the state is kept by {shards}; run `reelstream "
                "rebuild` first"
            )

    def _require_description(self, ratings: Ratings) -> None:
        """Require that what of the state follows from the offline history can be written again as it was.

        Raises:
            LifecycleError: if the state was built with another description of the data set.
        """
        if ratings.schema != self._live.published.schema():
            raise LifecycleError(
                "the state was built with another description of the data set than the settings name; run `reelstream "
                "rebuild` first, or set data.dataset to that description"
            )

    def _archive_log(self) -> None:
        archiver = Archiver(self._settings)
        try:
            archiver.write(everything=True)
        finally:
            archiver.close()

    def _due(self, rules: Rules, before_s: float) -> dict[int, Due]:
        """The erasures of each partition."""
        profiles = self._live.profiles
        positions = zip(profiles.applied(), profiles.visible_offsets(), strict=True)
        applied = [min(-1 if offset is None else offset for offset in position) for position in positions]
        return {number: due(self._archive, rules, number, at, before_s) for number, at in enumerate(applied)}

    def _given_up(self, before_s: float) -> GivenUp:
        """The erasures in logs that were given up."""
        if self._base() is None and not any(formers(self._archive)):
            return GivenUp()
        catalogue = readers.load(self._settings).catalogue
        return given_up(self._settings, self._archive, self._base(), catalogue, self._live.profiles, before_s)

    def _base(self) -> str | None:
        """Name of the saved state that the live one began with."""
        snapshot = self._live.published.snapshot()
        return None if snapshot is None else snapshot.base

    def _topic(self) -> str:
        """Id of the topic of the log in the archive."""
        log = self._archive.log()
        return "" if log is None else log.topic

    def _require_no_previous(self, dues: Mapping[int, Due], given_up: Collection[Id]) -> None:
        """Require that no state which can be switched back to holds the users, or needs the log before it is trimmed.

        Raises:
            LifecycleError: if one does.
        """
        for name in self._previous():
            profiles = StateStores.of(self._settings, name, self._live.profiles.client).profiles
            applied = profiles.applied()
            behind = any((applied[partition] or -1) < each.end - 1 for partition, each in dues.items())
            if behind or profiles.read_users([*given_up]):
                raise LifecycleError(
                    "the state from before a rebuild, which can be switched back to, holds users who are erased; "
                    "delete it with `reelstream rebuild --drop`, and run the command again"
                )

    def _previous(self) -> list[str]:
        """The generations of the state besides the live one."""
        generations = Generations(self._live.profiles.client)
        names = {generations.live().previous, *generations.unused()} - {None, self._live.generation}
        return sorted(str(name) for name in names)

    def _trim(self, dues: Mapping[int, Due]) -> None:
        """Delete the log up to the last erasure of each partition; the last record folded must stay, so one follows.

        Raises:
            Unreachable: if Kafka or Redis does not answer, or no worker folds in time.
        """
        logs, topic = ShardLogs(self._live.profiles), self._settings.kafka.topic
        tails = {partition: logs.position(partition).tail for partition in dues}
        followed = [
            partition
            for partition, each in dues.items()
            if (tail := tails[partition]) is None or tail.offset < each.end
        ]
        if followed:
            send = Sender(self._settings.kafka, FOLD_WITHIN_S)
            if send(topic, [Record(None, b"", [(GONE, b"")], partition) for partition in followed]):
                raise Unreachable(f"Kafka refuses a record of {topic}; see `reelstream doctor`")
        until = time.monotonic() + FOLD_WITHIN_S
        while behind := [number for number in followed if not self._has_passed(number, dues[number].end)]:
            if time.monotonic() > until:
                raise Unreachable(
                    f"no worker folds partition {behind[0]}, whose log ends with an erasure; check in `reelstream "
                    "status` that a worker is running"
                )
            time.sleep(0.1)
        topics.delete_before(self._settings.kafka, topic, {partition: each.end for partition, each in dues.items()})

    def _has_passed(self, partition: int, offset: int) -> bool:
        """Tell whether a record at an offset or after it is the last one folded."""
        tail = ShardLogs(self._live.profiles).position(partition).tail
        return tail is not None and tail.offset >= offset

    def _delete_rows(self, userids: list[Id]) -> None:
        """Delete feature rows and evicted profiles of users who have not come back."""
        profiles = self._live.profiles
        known = profiles.read_users(userids)
        gone = [userid for userid in userids if userid not in known]
        Features(self._settings, profiles.schema, self._live.generation).delete_users(gone)
        if profiles.evicted is not None:
            profiles.evicted.erase(gone)


def _named(folder: Path | None) -> str | None:
    """A folder as a report tells it."""
    return None if folder is None else str(folder)
