"""Comparisons of a restored system with the one that was backed up."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path

from lifecycle.backup_folder import BackupManifest
from offline.data import readers
from offline.data.split import split
from offline.state.snapshot import Beginning
from producers import dead_events
from settings import Settings
from stores import Logged
from stores.archive.whole_log import WholeLog
from tests.archives import archived
from tests.system.conftest import System
from verify import verify
from verify.log import Expected


def letters(settings: Settings) -> list[tuple[int, int, str]]:
    return sorted((letter.partition, letter.offset, letter.reason) for letter in dead_events(settings.kafka))


def position(record: Logged) -> tuple[int, int]:
    return record.partition, record.offset


def require_own_records(settings: Settings, manifest: BackupManifest, original: System) -> None:
    """The archive of a restored system holds the records of the original below the offsets of the backup."""
    expected = [record for record in original.log() if record.offset < manifest.ends[record.partition]]
    assert len(expected) > 0
    assert archived(settings) == sorted(expected, key=position)


def require_own_state(restored: System, manifest: BackupManifest, original: System) -> None:
    """A restored system holds the state that follows from the original's data and log up to the backup."""
    ratings = readers.load(original.settings)
    places, partitions = split(ratings, original.settings.data).offline, len(manifest.ends)
    with closing(WholeLog(original.settings)) as log:
        beginning = Beginning.offline(ratings, places, partitions)
        expected = Expected(ratings.schema, beginning, log, original.settings.stream.max_future_s)
        expected.fold_to(dict(enumerate(manifest.ends)))
    userids = expected.userids()
    assert restored.profiles.userids() == userids
    assert restored.profiles.read_users(sorted(userids)) == {userid: expected.user(userid) for userid in userids}
    for shard in range(partitions):
        assert restored.profiles.shard_counters(shard) == expected.counters(shard)
    assert restored.profiles.applied() == [end - 1 for end in manifest.ends]
    assert restored.profiles.dead() == sum(expected.dead, Counter())


def require_proved(restored: System, ratings: Path) -> None:
    """A restored system is compared with all that it follows from, also by the oracle, which reads the ratings."""
    data = restored.settings.data.model_copy(update={"folder": str(ratings)})
    settings = restored.settings.model_copy(update={"data": data})
    verified = verify(settings, wait_s=60.0, progress=lambda what, share: None)
    assert verified.differences == 0, verified.differing
    valid = len(archived(restored.settings)) - len(letters(restored.settings))
    assert verified.events == valid > 0 and verified.sampled > 0
