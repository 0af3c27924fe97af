"""Erasures in logs that were given up with `reelstream adopt`: the state knows them, the log that follows does not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from features import Catalogue, Id
from lifecycle.erasure.due import Rules, due
from offline.state import state_snapshot
from offline.state.snapshot import Shards
from settings import Settings
from stores import Profiles
from stores.archive.archive import FORMER, Archive
from stores.archive.manifest import ErasedTo
from stores.kafka.epochs import Epochs


@dataclass
class GivenUp:
    """Erasures whose time has come, in logs that were given up.

    Attributes:
        userids: of their users.
        erased_to: by id of the topic and by partition, the offset up to which the state knows all erasures.
    """

    userids: set[Id] = field(default_factory=set)
    erased_to: ErasedTo = field(default_factory=dict)


def formers(archive: Archive) -> Iterator[Archive]:
    """The archives of logs that were given up."""
    return (Archive(folder) for folder in sorted((archive.folder / FORMER).glob("*/")))


def partitions_of(former: Archive) -> list[int]:
    """The partitions of which an archive has records."""
    return sorted(int(shard.name.removeprefix("shard=")) for shard in former.folder.glob("shard=*"))


def given_up(
    settings: Settings, archive: Archive, base: str | None, catalogue: Catalogue, profiles: Profiles, before_s: float
) -> GivenUp:
    """The erasures in the archives of logs that were given up, and those that only the saved state knows.

    An erasure that was given up before it was folded is lost like all such events: its user is still known.

    Args:
        settings: all settings.
        archive: the archive.
        base: name of the saved state that the live one began with; None where it began with the offline history.
        catalogue: items, and users of the offline history.
        profiles: the live state.
        before_s: unix seconds; the time of erasures that came before has come.

    Raises:
        ArchiveError: if such an archive is damaged.
        DataError: if the saved state is damaged.
        Unreachable: if Redis does not answer.
    """
    found = GivenUp()
    for former in formers(archive):
        manifest = former.manifest()
        partitions = (manifest and manifest.partitions) or profiles.partitions
        epochs = manifest.log_epochs(partitions) if manifest else Epochs(partitions)
        rules = Rules(profiles.schema, epochs, settings.stream.max_future_s)
        for partition in partitions_of(former):
            each = due(former, rules, partition, sys.maxsize, before_s)
            if each.offsets:
                topic = (manifest and manifest.topic) or former.folder.name
                found.erased_to.setdefault(topic, {})[partition] = each.end - 1
                found.userids |= each.offsets.keys()
    found.userids -= {userid for shard in range(profiles.partitions) for userid in profiles.attributed(shard)}
    return found if base is None else _with_saved(settings, base, catalogue, before_s, found)


def _with_saved(settings: Settings, base: str, catalogue: Catalogue, before_s: float, found: GivenUp) -> GivenUp:
    """The same with the users of the history whom a saved state does not know any more."""
    saved = state_snapshot.manifest(settings, base)
    if datetime.fromisoformat(saved.created).timestamp() > before_s:
        return found
    shards = state_snapshot.read(settings, base, Shards(saved.schema_of_data, catalogue, len(saved.shards))).shards
    erased = {userid for state in shards.states for userid in state.erased}
    if not erased:
        return found
    known = {shard: file.next_offset - 1 for shard, file in enumerate(saved.shards)}
    return replace(found, userids=found.userids | erased, erased_to={**found.erased_to, saved.topic: known})
