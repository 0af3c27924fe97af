"""The steps of `reelstream verify`."""

from __future__ import annotations

import random
import time
from collections.abc import Set

import datasets
from features import Id
from offline.data import readers
from offline.data.readers import Ratings
from offline.data.split import split
from offline.errors import DataError
from offline.state import state_snapshot
from offline.state.own_log import require_own_log
from offline.state.snapshot import Beginning
from settings import Settings
from stores import (
    DriftStore,
    Generations,
    NotPublished,
    Profiles,
    Published,
    Snapshot,
    StateStores,
    Unreachable,
    connect,
    project_of,
)
from stores.archive.history import HISTORY
from stores.archive.history_files import EVENTS
from stores.archive.whole_log import WholeLog
from stores.feast.feature_store import Features
from stores.feast.online_rows import OnlineRows
from stores.redis.published import REBUILD
from verify.documents import Catalogue, IndexComparison, Written
from verify.drift import compare_drift
from verify.log import Expected
from verify.models import compare_models
from verify.oracle import History, of_archive, of_files
from verify.published import (
    compare_attributes,
    compare_catalogue,
    compare_others,
    compare_run,
    compare_schema,
    compare_snapshot,
    look_for_stray_keys,
)
from verify.report import Progress, Verified
from verify.sample import SampleComparison, choose
from verify.state import StateComparison

FIRST = "movielens-1m"
"""The data set of archives from before they said which one theirs is."""

PAUSE_S = 1.0
"""Seconds between two tries to reach a store."""


def verify(
    settings: Settings,
    *,
    wait_s: float,
    sample: int = 200,
    live: bool = True,
    generation: str | None = None,
    progress: Progress,
) -> Verified:
    """Fold the archive and the whole log, and compare with everything that is stored.

    Args:
        settings: all settings.
        wait_s: seconds that the stream gets to catch up.
        sample: users, and as many items, that are compared with the oracle.
        live: False to leave out what Elasticsearch and Triton hold for the live run.
        generation: of the state, compared as far as it is folded, without drift, which follows the live one; None for
            the live one, compared with the whole log.
        progress: told of what is being compared.

    Raises:
        NotPublished: if there is nothing to verify, or a reset has deleted a part of it.
        OtherVersion: if the state was written with other counts than are declared.
        ArchiveError: if the archive is damaged, or that of another log.
        DataError: if the state began with other data than the data folder holds.
        LogError: if the log is not the one that the state was folded from, or lacks events.
        Unreachable: if a store does not answer, or the stream stands still.
    """
    client = connect(settings.redis)
    found = Generations(client).live()
    name = found.name if generation is None else generation
    state = StateStores.of(settings, name, client, found.shards_of(name, settings.kafka.partitions))
    published, profiles = state.published, state.profiles
    snapshot = _require_state(published, whole=generation is None)
    progress("folding the archive", 0.0)
    ratings = readers.load(settings)
    if readers.data_hash(ratings) != snapshot.data_hash:
        raise DataError(
            f"the state was built from other data than {settings.data_folder} holds; set REELSTREAM_DATA__FOLDER, or "
            "ML1M_DIR for MovieLens-1M, to the folder with that data"
        )
    require_own_log(settings, profiles, snapshot.base)
    result = Verified()
    beginning = _compare_archive(settings, ratings, snapshot, published, profiles, result)
    if snapshot.base is not None:
        beginning = state_snapshot.read(settings, snapshot.base, beginning.archive)
    features = Features(settings, ratings.schema, state.generation)
    rows = OnlineRows(client, project_of(settings.feast.project, state.generation))
    log = WholeLog(settings)
    try:
        log.require_epochs(found.epochs)
        max_future_s = settings.stream.max_future_s
        expected = Expected(ratings.schema, beginning, log, max_future_s)
        ends = log.ends() if generation is None else _positions(profiles)
        total = max(1, sum(ends.values()))
        expected.fold_to(ends, lambda events: progress("folding the log", events / total))
        comparison = StateComparison(expected, profiles, features, rows, wait_s, result)
        comparison.compare(progress)
        compare_attributes(expected, profiles, result)
        progress("looking for stray keys", 0.0)
        look_for_stray_keys(profiles, result)
        if generation is None:
            progress("comparing the counts of drift", 0.0)
            compare_drift(expected, DriftStore(client), published, settings.drift.spoil_features, result)
        if live:
            erased = {userid for shard in expected.folded for userid in expected.erased(shard)}
            live_run = _LiveComparison(settings, published, ratings, comparison.catalogue, wait_s, progress)
            live_run.compare(erased, result)
        # The oracle counts from single events, which a snapshot of the state no longer has. It reads the files itself,
        # as it shares no code with the rest.
        if sample and snapshot.base is None and (history := _history(settings, ratings)):
            rng = random.SystemRandom()
            users = choose(rng, sample, expected.userids_of_log, expected.userids())
            items = choose(rng, sample, expected.itemids_of_log(), expected.items)
            SampleComparison(settings, history, profiles, features, users, items, wait_s, result).compare(progress)
        return result
    finally:
        log.close()


def _history(settings: Settings, ratings: Ratings) -> History | None:
    """The events before the log as the oracle reads them, from where they were read; None where it cannot."""
    archived = settings.archive_folder / HISTORY
    online = settings.data.online_events
    if ratings.folder != settings.archive_folder:
        history = of_files(datasets.path_of(settings.dataset), ratings.folder, online)
        # Those of erased users may be in the files still.
        return history.of_users(ratings.catalogue.users) if ratings.recorded_hash else history
    return of_archive(archived, datasets.path_of(FIRST), online) if (archived / EVENTS).exists() else None


def _positions(profiles: Profiles) -> dict[int, int]:
    """Offset of the first record of each partition that is not folded into the state."""
    return {shard: 0 if applied is None else applied + 1 for shard, applied in enumerate(profiles.applied())}


def _require_state(published: Published, whole: bool) -> Snapshot:
    """The snapshot that the state began with, where the state can be compared; `whole` if it must be the live one."""
    if whole and published.resetting() == REBUILD:
        raise NotPublished(
            "a `reelstream rebuild` was interrupted and the live state is partly deleted; "
            "run `reelstream rebuild` again"
        )
    if whole and published.resetting() is not None:
        raise NotPublished(
            "a `reelstream publish --reset` was interrupted and the live state is partly deleted; "
            "run `reelstream publish --reset` again"
        )
    snapshot = published.snapshot()
    if snapshot is None:
        raise NotPublished("there is nothing to verify yet; run `reelstream publish`")
    published.require_state_version()
    return snapshot


def _compare_archive(
    settings: Settings,
    ratings: Ratings,
    snapshot: Snapshot,
    published: Published,
    profiles: Profiles,
    result: Verified,
) -> Beginning:
    """Compare what follows from the archive alone; the state after it."""
    places = split(ratings, settings.data).offline
    beginning = Beginning.offline(ratings, places, profiles.partitions, settings.catalogue.waiting_events)
    shards = beginning.archive
    profiled = sum(len(state.profiles) for state in shards.states)
    compare_snapshot(snapshot, len(places), profiled, len(ratings.catalogue.items), result)
    compare_schema(ratings, published, result)
    compare_catalogue(ratings, published, result)
    compare_others(shards, published, result)
    return beginning


class _LiveComparison:
    """Compares what Elasticsearch and Triton hold for the live run.

    Args:
        settings: all settings.
        published: names the live run.
        ratings: the archive.
        catalogue: the items as they are now.
        wait_s: seconds that a store gets to answer.
        progress: told of how far it is.
    """

    def __init__(
        self,
        settings: Settings,
        published: Published,
        ratings: Ratings,
        catalogue: Catalogue,
        wait_s: float,
        progress: Progress,
    ) -> None:
        self._settings, self._published, self._ratings = settings, published, ratings
        self._catalogue, self._wait_s, self._progress = catalogue, wait_s, progress

    def compare(self, erased: Set[Id], result: Verified) -> None:
        """Compare the live run, again where it was replaced meanwhile.

        Args:
            erased: users who may be in the run's ids or not.
            result: takes the figures and the differences.

        Raises:
            NotPublished: if no run is live.
            Unreachable: if a store does not answer for so long.
        """
        until = time.monotonic() + self._wait_s
        while True:
            try:
                found, replaced = self._look(erased)
            except Unreachable as error:
                if time.monotonic() > until:
                    raise
                self._progress(f"waiting: {error}", 0.0)
                time.sleep(PAUSE_S)
            else:
                if not replaced or time.monotonic() > until:
                    break
        result.documents += found.documents
        result.differing |= found.differing

    def _look(self, erased: Set[Id]) -> tuple[Verified, bool]:
        """Compare the live run; whether it was replaced meanwhile, so that the differences say nothing."""
        settings, published = self._settings, self._published
        live, stored = published.run_to_replace()
        if live is None:
            raise NotPublished("no run is live yet; run `reelstream publish`")
        result = Verified()
        folder = compare_run(settings, "the live run", live, published, erased, result)
        if folder is not None:
            written = Written.of(settings, folder, self._ratings)
            written.compare(published, live, result)
            index = IndexComparison(settings, live, written, folder, self._catalogue, self._wait_s, self._progress)
            index.compare(result)
            self._progress("comparing the models", 0.0)
            compare_models(settings, live, folder, result)
        return result, published.run_to_replace()[1] != stored
