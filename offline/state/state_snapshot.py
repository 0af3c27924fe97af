"""A copy of the whole state in files, from which `verify` folds the log that follows it.

`<state folder>/snapshots/<name>/` holds `shard-<n>.msgpack` for each shard and `manifest.json`, which is written last.
A shard's file is a msgpack map: `users` {userid: [profile, {itemid: [ts, rating]}]} and `counters` {itemid: counter},
profiles and counters packed as in Redis (`stores.redis.packing`), and `dead` {reason: dead letters}. The seen filters
hold each user's current rating of every item, so the files are a training set too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgpack
from pydantic import BaseModel

from features import Catalogue
from features.stored import Record, VersionError
from features.version import FIRST_PROFILES, PROFILES_VERSION
from offline.errors import DataError
from offline.state.snapshot import Beginning, Shards
from settings import Settings
from stores import Profiles, view_shard
from stores.archive import durable
from stores.kafka.log_check import LogIdentity
from stores.redis.packing import pack_counter, pack_profile, unpack_counter, unpack_first_counter, unpack_profile

MANIFEST = "manifest.json"
COMING = "coming-"
"""Begins the names of files that take the place of others once the manifest names their hash."""

BATCH = 500
GO_BACK = "go back to the release that wrote it, or start over with `reelstream publish --reset`"


class ShardFile(BaseModel):
    """A shard in a snapshot.

    Attributes:
        sha256: of its file.
        users, items: that it holds.
        next_offset: offset of the log's first record that is not folded into it.
    """

    sha256: str
    users: int
    items: int
    next_offset: int


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

    profiles_version: str = FIRST_PROFILES
    name: str
    created: str
    data_hash: str
    cluster: str
    topic: str
    shards: list[ShardFile]


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
        users: dict[int, tuple[bytes, dict[int, tuple[int, int]]]] = {}
        for start in range(0, len(of_shard), BATCH):
            for userid, (profile, seen) in profiles.read_users(of_shard[start : start + BATCH]).items():
                users[userid] = pack_profile(profile), seen
        view = view_shard(profiles, shard)
        counters = {itemid: pack_counter(counter) for itemid, counter in view.counters.items()}
        dead = {} if shard in restart else dict(view.dead)
        files.append(_write_shard(folder, shard, users, counters, dead, next_offsets[shard]))
        progress((shard + 1) / profiles.partitions)
    return _complete(folder, now, data_hash, log, files)


def set_log(settings: Settings, name: str, log: LogIdentity) -> None:
    """Have another log follow a snapshot, one that goes on where the one before ended.

    Raises:
        DataError: if the snapshot is missing or of another version.
    """
    manifest = _manifest(settings, name).model_copy(update={"cluster": log.cluster, "topic": log.topic})
    durable.write(settings.state / "snapshots" / name / MANIFEST, manifest.model_dump_json(indent=1).encode())


def _begin(settings: Settings) -> tuple[datetime, Path]:
    """The time of a new snapshot, and its folder, which is named after it."""
    now = datetime.now(UTC)
    folder = settings.state / "snapshots" / now.strftime("%Y%m%dT%H%M%S%fZ")
    folder.mkdir(parents=True)
    return now, folder


def _write_shard(
    folder: Path,
    shard: int,
    users: Mapping[int, tuple[bytes, dict[int, tuple[int, int]]]],
    counters: Mapping[int, bytes],
    dead: Mapping[str, int],
    next_offset: int,
    beginning: str = "",
) -> ShardFile:
    packed: bytes = msgpack.packb({"users": users, "counters": counters, "dead": dead})
    durable.write(_path(folder, shard, beginning), packed)
    sha256 = hashlib.sha256(packed).hexdigest()
    return ShardFile(sha256=sha256, users=len(users), items=len(counters), next_offset=next_offset)


def _complete(folder: Path, now: datetime, data_hash: str, log: LogIdentity, files: list[ShardFile]) -> str:
    """Write the manifest, with which a snapshot is complete; its name."""
    manifest = StateSnapshot(
        profiles_version=PROFILES_VERSION,
        name=folder.name,
        created=now.isoformat(timespec="seconds"),
        data_hash=data_hash,
        cluster=log.cluster,
        topic=log.topic,
        shards=files,
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1))
    return manifest.name


def read(settings: Settings, name: str, archive: Shards) -> Beginning:
    """Read a snapshot of a state that began with `archive`.

    Raises:
        DataError: if the snapshot is missing, damaged or of another version.
    """
    folder = settings.state / "snapshots" / name
    manifest = _manifest(settings, name)
    shards = Shards(archive.catalogue, len(manifest.shards))
    dead: list[dict[str, int]] = []
    for shard, file in enumerate(manifest.shards):
        packed = _content(folder, shard, file)
        if packed is None:
            path = _path(folder, shard)
            raise DataError(f"{path.name} of snapshot {name} of the state is missing or damaged; {_restore(folder)}")
        content = msgpack.unpackb(packed, strict_map_key=False)
        state = shards.states[shard]
        for userid, (profile, seen) in content["users"].items():
            state.profiles[userid] = unpack_profile(profile)
            state.seen[userid] = {itemid: (ts, rating) for itemid, (ts, rating) in seen.items()}
        unpack = unpack_first_counter if manifest.profiles_version == FIRST_PROFILES else unpack_counter
        state.counters.update((itemid, unpack(counter)) for itemid, counter in content["counters"].items())
        dead.append(content["dead"])
    return Beginning(
        shards, archive, {shard: file.next_offset for shard, file in enumerate(manifest.shards)}, dead, name
    )


def rewrite_without(settings: Settings, name: str, catalogue: Catalogue, userids: Collection[int]) -> bool:
    """Write a snapshot again without users who are erased; False where it has none of them.

    Raises:
        DataError: if the snapshot is missing, damaged or of another version.
    """
    manifest, folder = _manifest(settings, name), settings.state / "snapshots" / name
    _settle(folder, manifest)
    beginning = read(settings, name, Shards(catalogue, len(manifest.shards)))
    if not any(state.profiles.keys() & {*userids} for state in beginning.shards.states):
        return False
    files = []
    for shard, state in enumerate(beginning.shards.states):
        for userid in sorted(state.profiles.keys() & {*userids}):
            state.erase(userid)
        users = {userid: (pack_profile(profile), state.seen[userid]) for userid, profile in state.profiles.items()}
        counters = {itemid: pack_counter(counter) for itemid, counter in state.counters.items()}
        dead, next_offset = dict(beginning.dead[shard]), beginning.next_offsets[shard]
        files.append(_write_shard(folder, shard, users, counters, dead, next_offset, COMING))
    changed = manifest.model_copy(update={"profiles_version": PROFILES_VERSION, "shards": files})
    durable.write(folder / MANIFEST, changed.model_dump_json(indent=1).encode())
    _settle(folder, changed)
    return True


def _settle(folder: Path, manifest: StateSnapshot) -> None:
    """Put files in their place that are those of the manifest, and delete others that were to take it."""
    for shard, file in enumerate(manifest.shards):
        coming = _path(folder, shard, COMING)
        if not coming.is_file():
            continue
        if hashlib.sha256(coming.read_bytes()).hexdigest() == file.sha256:
            coming.replace(_path(folder, shard))
        else:
            coming.unlink()
    durable.sync_folder(folder)


def _content(folder: Path, shard: int, file: ShardFile) -> bytes | None:
    """The content of a shard's file; None where no file is that of the manifest."""
    for path in (_path(folder, shard), _path(folder, shard, COMING)):
        packed = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(packed).hexdigest() == file.sha256:
            return packed
    return None


def latest(settings: Settings, data_hash: str, log: LogIdentity) -> str | None:
    """Name of the newest snapshot that a log follows; None where there is none.

    Raises:
        DataError: if a snapshot is of another version.
    """
    folder = settings.state / "snapshots"
    for path in sorted(folder.glob(f"*/{MANIFEST}"), reverse=True):
        manifest = _manifest(settings, path.parent.name)
        if (manifest.data_hash, manifest.cluster, manifest.topic) == (data_hash, log.cluster, log.topic):
            return manifest.name
    return None


def next_offsets(settings: Settings, name: str | None, partitions: int) -> dict[int, int]:
    """Return where the log that follows a snapshot begins in each partition; without a snapshot, at its first offset.

    Raises:
        DataError: if the snapshot is missing or of another version.
    """
    if name is None:
        return dict.fromkeys(range(partitions), 0)
    manifest = _manifest(settings, name)
    return {shard: file.next_offset for shard, file in enumerate(manifest.shards)}


def _manifest(settings: Settings, name: str) -> StateSnapshot:
    folder = settings.state / "snapshots" / name
    try:
        manifest = StateSnapshot.read((folder / MANIFEST).read_text())
    except VersionError as error:
        raise DataError(f"snapshot {name} of the state is of another release: {error}; {GO_BACK}") from error
    except (OSError, ValueError) as error:
        raise DataError(
            f"snapshot {name} of the state cannot be read ({type(error).__name__}); {_restore(folder)}"
        ) from error
    if manifest.profiles_version not in (FIRST_PROFILES, PROFILES_VERSION):
        raise DataError(
            f"snapshot {name} of the state holds profiles of the version {manifest.profiles_version}, this release has "
            f"{PROFILES_VERSION}; {GO_BACK}"
        )
    return manifest


def _restore(folder: Path) -> str:
    return f"restore {folder}, from which the log is folded, or start over with `reelstream publish --reset`"


def _path(folder: Path, shard: int, beginning: str = "") -> Path:
    return folder / f"{beginning}shard-{shard}.msgpack"
