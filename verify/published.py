"""The comparison of what `publish` wrote into Redis, and the search for keys that nobody should have written."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import cast

from features import Id, id_text
from offline import runs
from offline.data.readers import Ratings
from offline.errors import RunError
from offline.state.snapshot import Shards
from scoring.run_ids import RunIds
from settings import Settings
from stores import LiveRun, Profiles, Published, Snapshot
from stores.redis.connection import reachable
from stores.redis.packing import user_struct
from stores.redis.readable import readable_id
from stores.redis.shard_offsets import SHARD_KEYS, USER_KEYS
from verify.log import Expected
from verify.reading import read_one
from verify.report import Unreadable, Verified


def compare_catalogue(ratings: Ratings, published: Published, result: Verified) -> None:
    """Compare each item of the catalogue."""
    stored = read_one(published.catalogue)
    if isinstance(stored, Unreadable):
        result.check("the catalogue", f"{len(ratings.catalogue.items)} items", stored)
        return
    for itemid in ratings.catalogue.items.keys() | stored.keys():
        result.check(f"item {itemid} in the catalogue", ratings.catalogue.items.get(itemid), stored.get(itemid))


def compare_schema(ratings: Ratings, published: Published, result: Verified) -> None:
    """Compare the schema of the state with the one that the description and the data give."""
    stored = read_one(lambda: published.schema().to_json())
    result.check("the schema", ratings.schema.to_json(), stored)


def compare_attributes(expected: Expected, profiles: Profiles, result: Verified) -> None:
    """Compare the attributes of each user, in the shard of the user; those of an erased user must be gone.

    Raises:
        Unreachable: if a store does not answer.
    """
    codes = user_struct(expected.schema)
    for shard in range(profiles.partitions):
        read = profiles.client.pipeline(transaction=True)
        read.get(f"{profiles.tag(shard)}:applied")
        read.hgetall(f"{profiles.tag(shard)}:users")
        with reachable():
            applied, packed = cast("tuple[bytes, dict[bytes, bytes]]", read.execute())
        expected.fold_to({shard: int(applied) + 1})
        stored: dict[str, object] = {
            _text(name): read_one(lambda value=value: codes.unpack(value))  # type: ignore[misc]
            for name, value in packed.items()
        }
        wanted = {id_text(user.userid): user.codes for user in expected.users(shard)}
        for name in wanted.keys() | stored.keys():
            result.check(f"attributes of user {name} in shard {shard}", wanted.get(name), stored.get(name))
        result.attributes += len(wanted)


def compare_others(archive: Shards, published: Published, result: Verified) -> None:
    """Compare the snapshot's counters of other shards, with which the inputs for drift are made."""
    for shard in range(len(archive.states)):
        wanted = archive.others(shard)
        stored = read_one(lambda shard=shard: published.others(shard))  # type: ignore[misc]
        if isinstance(stored, Unreadable) or stored is None:
            result.check(f"counters of the shards other than {shard}", f"{len(wanted)} items", stored)
            continue
        for itemid in {*wanted, *stored}:
            name = f"counters of item {itemid} in the shards other than {shard}"
            result.check(name, wanted.get(itemid), stored.get(itemid))


def compare_snapshot(snapshot: Snapshot, events: int, users: int, items: int, result: Verified) -> None:
    """Compare what the snapshot tells of itself."""
    stored = {"events": snapshot.events, "users": snapshot.users, "items": snapshot.items}
    result.check("the snapshot's figures", {"events": events, "users": users, "items": items}, stored)


def compare_run(
    settings: Settings, name: str, run: LiveRun, published: Published, erased: Collection[Id], result: Verified
) -> Path | None:
    """Compare what is told of a run with its folder.

    Args:
        settings: all settings.
        name: of the run in messages.
        run: what is told of it.
        published: where its reference and ids are.
        erased: users who may be in its ids or not, as they are taken out one after the other.
        result: takes the differences.

    Returns:
        The folder, None where there is none that is whole.
    """
    try:
        folder = runs.folder(settings, run.run)
        manifest = runs.check(folder)
    except RunError as error:
        result.check(f"the folder of {name} {run.run}", "as its manifest says", error)
        return None
    _, vectors = runs.item_vectors(folder)
    expected = {
        "index": f"{settings.elasticsearch.alias}-{run.version}",
        "dim": vectors.shape[1],
        "history": manifest.input_schema.history,
        "dense": manifest.input_schema.dense,
        "quality": manifest.metrics["pipeline_validation"]["ndcg@10"],
    }
    result.check(f"{name} {run.run}", expected, {field: getattr(run, field) for field in expected})
    if run.data_hash:
        result.check(f"data of {name} {run.run}", manifest.data_hash, run.data_hash)
    reference = read_one(lambda: published.reference_text(run.run))
    result.check(f"reference of {name} {run.run}", (folder / runs.REFERENCE).read_text(), reference)
    if run.numbered:
        stored = read_one(lambda: published.ids(run.run))
        if isinstance(stored, RunIds):
            stored = stored.without_users(erased)
        result.check(f"ids of {name} {run.run}", runs.ids(folder).without_users(erased), stored)
    return folder


def look_for_stray_keys(profiles: Profiles, result: Verified) -> None:
    """Look through all keys of the shards for those that belong to none, and for users in another's shard."""
    client = profiles.client
    tags = {profiles.tag(shard).encode(): shard for shard in range(profiles.partitions)}
    with reachable():
        for key in client.scan_iter(match=profiles.pattern, count=1000):
            tag, _, name = cast(bytes, key).partition(b"}:")
            shard = tags.get(tag + b"}")
            kind, _, text = name.partition(b":")
            userid = readable_id(profiles.schema.user_ids, text) if kind.decode("latin-1") in USER_KEYS else None
            known = shard is not None and (
                name.decode("latin-1") in SHARD_KEYS or (userid is not None and profiles.shard_of(userid) == shard)
            )
            if not known:
                result.check(f"key {_text(key)}", None, Unreadable("no such key belongs there"))


def _text(key: bytes) -> str:
    return key.decode(errors="backslashreplace")
