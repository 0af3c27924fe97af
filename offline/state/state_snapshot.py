"""A copy of the whole state in files, from which `verify` folds the log that follows it.

`<state folder>/snapshots/<name>/` holds a file for each shard (`saved_shard`) and `manifest.json`, which is written
last. The seen filters hold each user's current rating of every item, so the files are a training set too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import model_validator

from features import Catalogue
from features.stored import FIRST_VERSION, Record, VersionError
from features.version import FIRST_PROFILES, PROFILES_VERSION
from offline.errors import DataError
from offline.state import saved_shard
from offline.state.saved_shard import ShardContent, ShardFile
from offline.state.snapshot import Beginning, Shards
from settings import Settings
from stores import Profiles, partition_of, view_shard
from stores.archive import durable
from stores.kafka.log_check import LogIdentity
from stores.redis.packing import pack_counter, pack_profile, unpack_counter, unpack_first_counter, unpack_profile

MANIFEST = "manifest.json"
BATCH = 500
GO_BACK = "go back to the release that wrote it, or start over with `reelstream publish --reset`"


class StateSnapshot(Record):
    """The manifest of a snapshot.

    Attributes:
        profiles_version: of the profiles and counters in them (see `features.version`).
        name: of its folder.
        created: UTC time, ISO 8601.
        data_hash: SHA-256 of the data set that the state began with.
        cluster, topic: ids of the log that follows.
        shards: in order.
    """

    schema_version: int = 2
    profiles_version: str = FIRST_PROFILES
    name: str
    created: str
    data_hash: str
    cluster: str
    topic: str
    shards: list[ShardFile]

    @classmethod
    def migrated_versions(cls) -> tuple[int, ...]:
        """The first version, whose files lack `attributed`."""
        return (FIRST_VERSION,)

    @model_validator(mode="before")
    @classmethod
    def _migrate(cls, stored: Any) -> Any:
        """Read the first version, whose manifest is as today's."""
        if isinstance(stored, Mapping) and stored.get("schema_version", FIRST_VERSION) == FIRST_VERSION:
            return {**stored, "schema_version": cls.current_version()}
        return stored


def write(
    settings: Settings,
    profiles: Profiles,
    data_hash: str,
    log: LogIdentity,
    next_offsets: Mapping[int, int],
    restart: Collection[int],
    progress: Callable[[float], None],
) -> str:
    """Write the state as it is now, while no worker changes it; its name.

    Args:
        data_hash: SHA-256 of the data set that it began with.
        log: the log that follows.
        next_offsets: by shard, where that log is folded from.
        restart: shards whose dead letters are counted again.
        progress: called with the share that is done, 0 to 1.

    Raises:
        NotPublished: if there is no state.
        Unreachable: if Redis does not answer.
    """
    now, folder = _begin(settings)
    userids = sorted(profiles.userids())
    files = []
    for shard in range(profiles.partitions):
        of_shard = [userid for userid in userids if profiles.shard_of(userid) == shard]
        users: dict[int, tuple[bytes, Mapping[int, tuple[int, int]]]] = {}
        for start in range(0, len(of_shard), BATCH):
            for userid, (profile, seen) in profiles.read_users(of_shard[start : start + BATCH]).items():
                users[userid] = pack_profile(profile), seen
        view = view_shard(profiles, shard)
        content: ShardContent = {
            "users": users,
            "counters": {itemid: pack_counter(counter) for itemid, counter in view.counters.items()},
            "dead": {} if shard in restart else dict(view.dead),
            "attributed": sorted(profiles.attributed(shard)),
        }
        files.append(saved_shard.write(folder, shard, content, next_offsets[shard]))
        progress((shard + 1) / profiles.partitions)
    return _complete(folder, now, data_hash, log, files)


def set_log(settings: Settings, name: str, log: LogIdentity) -> None:
    """Have another log follow a snapshot, one that goes on where the one before ended.

    Raises:
        DataError: if the snapshot is missing or of another version.
    """
    changed = manifest(settings, name).model_copy(update={"cluster": log.cluster, "topic": log.topic})
    durable.write(settings.state / "snapshots" / name / MANIFEST, changed.model_dump_json(indent=1).encode())


def _begin(settings: Settings) -> tuple[datetime, Path]:
    """The time of a new snapshot, and its folder, which is named after it."""
    now = datetime.now(UTC)
    folder = settings.state / "snapshots" / now.strftime("%Y%m%dT%H%M%S%fZ")
    folder.mkdir(parents=True)
    return now, folder


def _complete(folder: Path, now: datetime, data_hash: str, log: LogIdentity, files: list[ShardFile]) -> str:
    """Write the manifest, with which a snapshot is complete; its name."""
    written = StateSnapshot(
        profiles_version=PROFILES_VERSION,
        name=folder.name,
        created=now.isoformat(timespec="seconds"),
        data_hash=data_hash,
        cluster=log.cluster,
        topic=log.topic,
        shards=files,
    )
    (folder / MANIFEST).write_text(written.model_dump_json(indent=1))
    return written.name


def read(settings: Settings, name: str, archive: Shards) -> Beginning:
    """Read a snapshot of a state that began with `archive`.

    Raises:
        DataError: if the snapshot is missing, damaged or of another version.
    """
    folder = settings.state / "snapshots" / name
    saved = manifest(settings, name)
    shards = Shards(archive.catalogue, len(saved.shards))
    shard_of = {userid: partition_of(userid, len(saved.shards)) for userid in archive.catalogue.users}
    dead: list[dict[str, int]] = []
    for shard, file in enumerate(saved.shards):
        content = saved_shard.read(folder, shard, file)
        if content is None:
            path = saved_shard.path_of(folder, shard)
            raise DataError(f"{path.name} of snapshot {name} of the state is missing or damaged; {_restore(folder)}")
        state = shards.states[shard]
        for userid, (profile, seen) in content["users"].items():
            state.profiles[userid] = unpack_profile(profile)
            state.seen[userid] = {itemid: (ts, rating) for itemid, (ts, rating) in seen.items()}
        unpack = unpack_first_counter if saved.profiles_version == FIRST_PROFILES else unpack_counter
        state.counters.update((itemid, unpack(counter)) for itemid, counter in content["counters"].items())
        dead.append(content["dead"])
        if "attributed" in content:
            users = {userid for userid, number in shard_of.items() if number == shard}
            state.erased.update(users.difference(content["attributed"]))
    return Beginning(shards, archive, {shard: file.next_offset for shard, file in enumerate(saved.shards)}, dead, name)


def rewrite_without(settings: Settings, name: str, catalogue: Catalogue, userids: Collection[int]) -> bool:
    """Write a snapshot again without users who are erased; False where it has none of them.

    Args:
        settings: all settings.
        name: of the snapshot.
        catalogue: items and users, without those.
        userids: the users.

    Raises:
        DataError: if the snapshot is missing, damaged or of another version.
    """
    saved, folder = manifest(settings, name), settings.state / "snapshots" / name
    saved_shard.settle(folder, saved.shards)
    gone, partitions = {*userids}, len(saved.shards)
    beginning = read(settings, name, Shards(catalogue, partitions))
    contents = [saved_shard.read(folder, shard, file) or {} for shard, file in enumerate(saved.shards)]
    if not any(gone & {*content.get("users", ()), *content.get("attributed", ())} for content in contents):
        return False
    files = []
    for shard, state in enumerate(beginning.shards.states):
        for userid in sorted(state.profiles.keys() & gone):
            state.erase(userid)
        known = (userid for userid in catalogue.users if partition_of(userid, partitions) == shard)
        content: ShardContent = {
            "users": {userid: (pack_profile(held), state.seen[userid]) for userid, held in state.profiles.items()},
            "counters": {itemid: pack_counter(counter) for itemid, counter in state.counters.items()},
            "dead": dict(beginning.dead[shard]),
            "attributed": sorted({*known} - state.erased - gone),
        }
        files.append(saved_shard.write(folder, shard, content, beginning.next_offsets[shard], saved_shard.COMING))
    changed = saved.model_copy(update={"profiles_version": PROFILES_VERSION, "shards": files})
    durable.write(folder / MANIFEST, changed.model_dump_json(indent=1).encode())
    saved_shard.settle(folder, changed.shards)
    return True


def latest(settings: Settings, data_hash: str, log: LogIdentity) -> str | None:
    """Name of the newest snapshot that a log follows; None where there is none.

    Raises:
        DataError: if a snapshot is of another version.
    """
    folder = settings.state / "snapshots"
    for path in sorted(folder.glob(f"*/{MANIFEST}"), reverse=True):
        saved = manifest(settings, path.parent.name)
        if (saved.data_hash, saved.cluster, saved.topic) == (data_hash, log.cluster, log.topic):
            return saved.name
    return None


def next_offsets(settings: Settings, name: str | None, partitions: int) -> dict[int, int]:
    """Return where the log that follows a snapshot begins in each partition; without a snapshot, at its first offset.

    Raises:
        DataError: if the snapshot is missing or of another version.
    """
    if name is None:
        return dict.fromkeys(range(partitions), 0)
    return {shard: file.next_offset for shard, file in enumerate(manifest(settings, name).shards)}


def manifest(settings: Settings, name: str) -> StateSnapshot:
    """Read the manifest of a snapshot.

    Raises:
        DataError: if the snapshot is missing or of another version.
    """
    folder = settings.state / "snapshots" / name
    try:
        saved = StateSnapshot.read((folder / MANIFEST).read_text())
    except VersionError as error:
        raise DataError(f"snapshot {name} of the state is of another release: {error}; {GO_BACK}") from error
    except (OSError, ValueError) as error:
        raise DataError(
            f"snapshot {name} of the state cannot be read ({type(error).__name__}); {_restore(folder)}"
        ) from error
    if saved.profiles_version not in (FIRST_PROFILES, PROFILES_VERSION):
        raise DataError(
            f"snapshot {name} of the state holds profiles of the version {saved.profiles_version}, this release has "
            f"{PROFILES_VERSION}; {GO_BACK}"
        )
    return saved


def _restore(folder: Path) -> str:
    return f"restore {folder}, from which the log is folded, or start over with `reelstream publish --reset`"
