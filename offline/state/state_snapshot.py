"""A copy of the whole state in files, from which `verify` folds the log that follows it.

`<state folder>/snapshots/<name>/` holds a file for each shard (`saved_shard`) and `manifest.json`, which is written
last. The seen filters hold each user's latest events with every item, so the files are a training set too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import model_validator

from datasets import first_schema
from features import Catalogue, Id, Profile, Schema, Seen, ascending
from features.state_fields import before_weights
from features.stored import FIRST_VERSION, Record, VersionError
from features.version import FIRST_PROFILES, ROWS_OF_EVENTS, of_profiles
from offline.data.history import State
from offline.errors import DataError
from offline.state import saved_shard
from offline.state.earlier_weights import recounted
from offline.state.saved_shard import ShardContent, ShardFile
from offline.state.snapshot import Beginning, Shards
from offline.state.waiting_records import as_events, as_records
from settings import Settings
from stores import Profiles, partition_of, view_shard
from stores.archive import durable
from stores.kafka.log_check import LogIdentity
from stores.redis.packed_changes import pack_changed, pack_waiting, unpack_changed, unpack_waiting
from stores.redis.packing import (
    pack_counter,
    pack_profile,
    pack_user,
    unpack_counter,
    unpack_earlier_profile,
    unpack_first_counter,
    unpack_profile,
    unpack_user,
)

MANIFEST = "manifest.json"
BATCH = 500
GO_BACK = "go back to the release that wrote it, or start over with `reelstream publish --reset`"


class StateSnapshot(Record):
    """The manifest of a snapshot.

    Attributes:
        profiles_version: of the profiles and counters in them (see `features.version`).
        described: the schema of the data set as JSON; empty for one of MovieLens-1M from before there were schemas.
        name: of its folder.
        created: UTC time, ISO 8601.
        data_hash: SHA-256 of the data set that the state began with.
        cluster, topic: ids of the log that follows.
        shards: in order.
    """

    schema_version: int = 3
    profiles_version: str = FIRST_PROFILES
    described: str = ""
    name: str
    created: str
    data_hash: str
    cluster: str
    topic: str
    shards: list[ShardFile]

    @property
    def schema_of_data(self) -> Schema:
        """The schema of the data set; raises VersionError or ValueError as `Schema.from_json`."""
        return Schema.from_json(self.described) if self.described else first_schema()

    @classmethod
    def migrated_versions(cls) -> tuple[int, ...]:
        """The versions before, whose files hold less (`saved_shard`)."""
        return (FIRST_VERSION, 2)

    @model_validator(mode="before")
    @classmethod
    def _migrate(cls, stored: Any) -> Any:
        """Read the versions before, whose manifest is as today's."""
        if isinstance(stored, Mapping) and stored.get("schema_version", FIRST_VERSION) in cls.migrated_versions():
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
    userids = ascending(profiles.userids())
    files = []
    for shard in range(profiles.partitions):
        of_shard = [userid for userid in userids if profiles.shard_of(userid) == shard]
        users: dict[Id, tuple[bytes, Mapping[Id, Seen]]] = {}
        for start in range(0, len(of_shard), BATCH):
            for userid, (profile, seen) in profiles.read_users(of_shard[start : start + BATCH]).items():
                users[userid] = pack_profile(profile), seen
        view, attributed = view_shard(profiles, shard), ascending(profiles.attributed(shard))
        content: ShardContent = {
            "users": users,
            "counters": {itemid: pack_counter(counter) for itemid, counter in view.counters.items()},
            "dead": {} if shard in restart else dict(view.dead),
            "attributes": {
                userid: pack_user(profiles.schema, user) for userid, user in profiles.attributes(attributed).items()
            },
            "layer": {itemid: pack_changed(changed) for itemid, changed in view.changed.items()},
            "waiting": {itemid: pack_waiting(records) for itemid, records in view.waiting.items()},
        }
        files.append(saved_shard.write(folder, shard, content, next_offsets[shard]))
        progress((shard + 1) / profiles.partitions)
    return _complete(folder, now, profiles.schema, data_hash, log, files)


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


def _complete(
    folder: Path, now: datetime, schema: Schema, data_hash: str, log: LogIdentity, files: list[ShardFile]
) -> str:
    """Write the manifest, with which a snapshot is complete; its name."""
    written = StateSnapshot(
        profiles_version=schema.profiles_version,
        described=schema.to_json(),
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
        DataError: if the snapshot is missing, damaged or of another version, or of another description of the data set.
    """
    folder = settings.state / "snapshots" / name
    saved, schema = manifest(settings, name), archive.schema
    if saved.schema_of_data != schema:
        raise DataError(
            f"snapshot {name} of the state was saved with another description of the data set than "
            f"{settings.dataset}; set data.dataset to that one, or start over with `reelstream publish --reset`"
        )
    shards = Shards(schema, archive.catalogue, len(saved.shards), archive.waiting_events)
    dead: list[dict[str, int]] = []
    for shard, file in enumerate(saved.shards):
        content = saved_shard.read(folder, shard, file)
        if content is None:
            path = saved_shard.path_of(folder, shard)
            raise DataError(f"{path.name} of snapshot {name} of the state is missing or damaged; {_restore(folder)}")
        state = shards.states[shard]
        state.layer.changed.update(
            (itemid, unpack_changed(schema, itemid, packed)) for itemid, packed in content.get("layer", {}).items()
        )
        for userid, (profile, seen) in content["users"].items():
            state.profiles[userid] = _profile(saved, schema, profile, seen, state)
            state.seen[userid] = seen
        unpack = unpack_first_counter if saved.profiles_version == FIRST_PROFILES else unpack_counter
        state.counters.update((itemid, unpack(counter)) for itemid, counter in content["counters"].items())
        dead.append(content["dead"])
        _take_attributes(shards, shard, content)
        waiting = {itemid: unpack_waiting(packed) for itemid, packed in content.get("waiting", {}).items()}
        state.waiting.update(as_events(schema, waiting))
    return Beginning(shards, archive, {shard: file.next_offset for shard, file in enumerate(saved.shards)}, dead, name)


def _profile(saved: StateSnapshot, schema: Schema, packed: bytes, seen: Mapping[Id, Seen], state: State) -> Profile:
    """A profile of a snapshot; one from before there were weights gets those of the events that are known."""
    if saved.profiles_version == schema.profiles_version:
        return unpack_profile(schema, packed)
    if saved.profiles_version == schema.profiles_version_before:
        return unpack_earlier_profile(schema, packed, schema.profile_fields, ROWS_OF_EVENTS)
    profile = unpack_earlier_profile(schema, packed, before_weights(schema), ROWS_OF_EVENTS)
    profile.weights = recounted(schema, profile, seen, state.layer)
    return profile


def _take_attributes(shards: Shards, shard: int, content: Mapping[str, Any]) -> None:
    """Take over which users a saved shard knows, and which of them are not as in the catalogue."""
    state, catalogue = shards.states[shard], shards.catalogue
    known: Collection[Id] | None = content.get("attributes", content.get("attributed"))
    if known is None:
        return  # of the first version
    state.erased.update(
        userid
        for userid in catalogue.users
        if userid not in known and partition_of(userid, len(shards.states)) == shard
    )
    for userid, packed in content.get("attributes", {}).items():
        user = unpack_user(shards.schema, userid, packed)
        if catalogue.users.get(userid) != user:
            state.changed_users[userid] = user


def rewrite_without(settings: Settings, name: str, catalogue: Catalogue, userids: Collection[Id]) -> bool:
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
    gone, partitions, schema = {*userids}, len(saved.shards), saved.schema_of_data
    beginning = read(settings, name, Shards(schema, catalogue, partitions))
    contents = [saved_shard.read(folder, shard, file) or {} for shard, file in enumerate(saved.shards)]
    if not any(
        gone & {*content.get("users", ()), *content.get("attributed", ()), *content.get("attributes", ())}
        or any(event.userid in gone for events in state.waiting.values() for _, event in events)
        for content, state in zip(contents, beginning.shards.states, strict=True)
    ):
        return False
    files = []
    for shard, state in enumerate(beginning.shards.states):
        for userid in ascending(gone):
            if partition_of(userid, partitions) == shard:
                state.erase(userid)
        content: ShardContent = {
            "users": {userid: (pack_profile(held), state.seen[userid]) for userid, held in state.profiles.items()},
            "counters": {itemid: pack_counter(counter) for itemid, counter in state.counters.items()},
            "dead": dict(beginning.dead[shard]),
            "attributes": {user.userid: pack_user(schema, user) for user in beginning.shards.users(shard)},
            "layer": {itemid: pack_changed(changed) for itemid, changed in state.layer.changed.items()},
            "waiting": {itemid: pack_waiting(records) for itemid, records in as_records(schema, state.waiting).items()},
        }
        files.append(saved_shard.write(folder, shard, content, beginning.next_offsets[shard], saved_shard.COMING))
    changed = saved.model_copy(update={"profiles_version": schema.profiles_version, "shards": files})
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
        schema = saved.schema_of_data
        unweighted = of_profiles(before_weights(schema), layout=ROWS_OF_EVENTS)
        declared, before = schema.profiles_version, (FIRST_PROFILES, unweighted, schema.profiles_version_before)
    except VersionError as error:
        raise DataError(f"snapshot {name} of the state is of another release: {error}; {GO_BACK}") from error
    except (OSError, ValueError) as error:
        raise DataError(
            f"snapshot {name} of the state cannot be read ({type(error).__name__}); {_restore(folder)}"
        ) from error
    if saved.profiles_version not in (*before, declared):
        raise DataError(
            f"snapshot {name} of the state holds profiles of the version {saved.profiles_version}, this release has "
            f"{declared}; {GO_BACK}"
        )
    return saved


def _restore(folder: Path) -> str:
    return f"restore {folder}, from which the log is folded, or start over with `reelstream publish --reset`"
