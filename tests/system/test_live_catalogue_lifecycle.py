"""Every operation on a running system, after items and users were changed and while events wait for their items."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

import servers
from features import Event, Id, Layer
from lifecycle.erasure import sweep
from lifecycle.forgotten import search
from producers import dead_events, resend
from stores import StateStores
from stores.archive.whole_log import WholeLog
from stores.elasticsearch import ItemIndex
from stores.kafka.record_owner import is_of_item
from stores.redis.packed_changes import Waiting
from stores.redis.shard_catalogue import CATALOGUE_KEYS, read_layer, read_layers, read_waiting
from tests.archives import archived
from tests.commands import figures, in_own_process, succeed
from tests.polling import until
from tests.system.conftest import System
from tests.system.growth import MOVED, growing, rebuilding
from tests.system.item_changes import LATE, Changed, send
from tests.system.restored import position
from tests.system.test_backup import empty_system

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

LATER = LATE + 100

STARTED_S = 120.0
"""Seconds in which a worker has started over, and folded the log."""


@pytest.fixture
def changed(system: System, own_state: None) -> Changed:
    return Changed.made(system)


def require_equal(system: System) -> None:
    """Archive and log, folded again, give what is stored."""
    system.wait(STARTED_S)
    system.wait_for_items()
    assert system.verify().differing == {}


def layer_of(system: System) -> Layer:
    """The changed items of the live state."""
    return read_layers(system.profiles, StateStores.live(system.settings).published.catalogue())


def waiting_in(system: System) -> dict[int, dict[Id, list[Waiting]]]:
    """By shard, the events that wait; without shards in which none does."""
    profiles = system.profiles
    found = {shard: dict(read_waiting(profiles, shard)) for shard in range(profiles.partitions)}
    return {shard: waiting for shard, waiting in found.items() if waiting}


def bring_awaited(changed: Changed, system: System) -> None:
    """Bring the item that an event waits for, which counts then."""
    before = system.profiles.read_users([changed.userid])[changed.userid][0].n
    send(system, system.schema.events.item_change(changed.awaited, 1, {"title": "Awaited", "genres": ["War"]}))
    system.wait()
    profile, seen = system.profiles.read_users([changed.userid])[changed.userid]
    assert profile.n == before + 1 and changed.awaited in seen
    assert waiting_in(system) == {}
    require_equal(system)


def test_a_document_is_written_again_where_its_item_or_its_index_is_another_and_only_there(changed: Changed) -> None:
    system = changed.system
    run = StateStores.live(system.settings).published.run()
    assert run is not None
    address = f"{system.settings.elasticsearch.url}/{run.index}/_doc/{changed.new}"

    def version() -> int | None:
        """The number of times that the document was written; None where there is none."""
        found: int | None = requests.get(address, timeout=10).json().get("_version")
        return found

    system.wait_for_items()
    first = version()
    assert first is not None
    system.send_events([Event(changed.userid, changed.new, 5, LATER)])
    system.wait()
    system.wait_for_items()
    assert version() == first
    words = system.schema.events
    send(system, words.item_change(changed.new, 20, {"title": "Another", "year": 1999, "genres": ["War"]}))
    system.wait()
    system.wait_for_items()
    assert version() == first + 1
    with closing(ItemIndex(system.settings.elasticsearch)) as index:
        index.create(run.index, system.schema, run.dim, 1)
        assert version() is None
        system.send_events([Event(changed.userid, changed.new, 4, LATER + 1)])
        until(lambda: version() is not None, 30)
        system.wait_for_items()
        assert index.count(run.index) == len(layer_of(system).changed) - 1, "all but the withdrawn one"
    succeed("publish")
    require_equal(system)


def test_a_rebuild_keeps_changes_and_what_waits_which_counts_on_the_way_back_too(changed: Changed) -> None:
    system = changed.system
    layer, waiting = layer_of(system), waiting_in(system)
    assert {changed.item, changed.new, changed.withdrawn} == {*layer.changed} and len(waiting) == 1
    assert figures(in_own_process("rebuild", "--json"))["previous"] == ""
    assert (layer_of(system), {*waiting_in(system)}) == (layer, {*waiting})
    require_equal(system)
    bring_awaited(changed, system)
    send(system, system.schema.events.item_change(changed.withdrawn, 9, {"title": "Back", "genres": []}))
    figures(in_own_process("rebuild", "--back", "--json"))
    assert not layer_of(system).withdrawn and waiting_in(system) == {}
    require_equal(system)


@pytest.mark.thorough
def test_a_lost_redis_comes_back_with_changes_and_what_waits(changed: Changed) -> None:
    system = changed.system
    layer = layer_of(system)
    succeed("archive", "--trim")
    system.lose("redis")
    succeed("publish")
    system.wait_until_ready()
    system.wait(STARTED_S)
    assert layer_of(system) == layer
    bring_awaited(changed, system)


def test_a_backup_is_restored_with_changes_and_what_waits_before_any_worker_runs(
    changed: Changed, tmp_path: Path
) -> None:
    system, folder = changed.system, str(tmp_path / "backups")
    servers.stop(system.settings, ["workers"])
    words = system.schema.events
    send(system, words.item_change(900_003, 1, {"title": "Behind", "year": 1999, "genres": ["War"]}))
    system.send_events([Event(changed.userid, 900_004, 5, LATER), Event(changed.userid, 900_003, 4, LATER)])
    succeed("backup", folder)
    servers.start(system.settings, ["workers"])
    with empty_system(tmp_path, system.events) as other:
        succeed("restore", folder)
        layer = layer_of(other)
        assert {*layer.changed} == {changed.item, changed.new, changed.withdrawn, 900_003}
        assert {*waiting_in(other)[changed.shard]} == {changed.awaited, 900_004}
        assert in_index(other) == {*layer} - {changed.withdrawn}
        servers.up(other.settings)
        other.wait_until_ready()
        require_equal(other)
        bring_awaited_of_two(changed, other)


def bring_awaited_of_two(changed: Changed, system: System) -> None:
    """Bring one of two items that events wait for; the other goes on waiting."""
    send(system, system.schema.events.item_change(changed.awaited, 1, {"title": "Awaited"}))
    system.wait()
    assert {*waiting_in(system)[changed.shard]} == {900_004}
    require_equal(system)


def in_index(system: System) -> set[Id]:
    """The items in the index of the live run."""
    published = StateStores.live(system.settings).published
    run = published.run()
    assert run is not None
    with closing(ItemIndex(system.settings.elasticsearch)) as index:
        return {
            document.itemid for document in index.documents(run.index, system.schema) if document.itemid is not None
        }


@pytest.mark.thorough
def test_an_index_that_is_filled_again_has_new_items_and_no_withdrawn_ones(changed: Changed) -> None:
    system = changed.system
    run = StateStores.live(system.settings).published.run()
    assert run is not None
    with closing(ItemIndex(system.settings.elasticsearch)) as index:
        index.delete(run.index)
    servers.stop(system.settings, ["workers"])
    succeed("publish")
    assert in_index(system) == {*layer_of(system)} - {changed.withdrawn}
    servers.start(system.settings, ["workers"])
    require_equal(system)


def test_a_reset_leaves_nothing_of_changes(changed: Changed) -> None:
    system = changed.system
    base = {*StateStores.live(system.settings).published.catalogue()}
    assert in_index(system) != base
    system.start_over()
    system.wait_until_ready()
    tags = [system.profiles.tag(shard) for shard in range(system.profiles.partitions)]
    assert not system.client.exists(*(f"{tag}:{name}" for tag in tags for name in CATALOGUE_KEYS))
    assert in_index(system) == base
    require_equal(system)


def test_nothing_is_left_of_an_erased_user_and_all_of_the_item_with_the_same_id(changed: Changed) -> None:
    system, userid = changed.system, changed.new
    words, (first, second) = system.schema.events, system.catalogue_items()[2:4]
    system.send_events([Event(userid, first, 5, LATER), Event(userid, 900_009, 5, LATER), Event(userid, 900_009, 4, 1)])
    send(system, words.user_change(userid, {"gender": "F", "age": "25"}))
    system.wait_for_drift()
    key = str(userid).encode()
    of_item = sorted((each for each in system.log() if is_of_item(each.value) and each.key == key), key=position)
    assert len(of_item) == system.settings.kafka.partitions
    places = " ".join(hit.place for hit in search(system.settings, userid, lambda *_: None))
    assert ":waiting field 900009" in places and ":users field" in places
    requests.delete(f"{system.api}/users/{userid}", timeout=30).raise_for_status()
    system.wait_for_drift()
    assert {*waiting_in(system)[changed.shard]} == {changed.awaited}
    require_equal(system)
    swept = sweep(system.settings, now=True, progress=lambda what, share: None)
    assert (swept.users, swept.records) == (1, 5)
    assert search(system.settings, userid, lambda *_: None) == []
    assert [record for record in archived(system.settings) if record.key == key] == of_item
    require_equal(system)
    system.rate(userid, second, 5)
    succeed("rebuild")
    require_equal(system)
    bring_awaited(changed, system)


@pytest.mark.thorough
def test_a_state_that_was_adopted_has_changes_and_what_waits_and_is_folded_again_from_there(changed: Changed) -> None:
    system = changed.system
    layer = layer_of(system)
    system.lose("kafka")
    succeed("adopt")
    system.wait(STARTED_S)
    assert layer_of(system) == layer and {*waiting_in(system)} == {changed.shard}
    send(system, system.schema.events.item_change(changed.item, 7, {"title": "Again", "genres": ["Drama"]}))
    system.send_events([Event(changed.userid, changed.item, 1, LATER)])
    require_equal(system)
    succeed("rebuild")
    require_equal(system)
    bring_awaited(changed, system)


@pytest.mark.thorough
def test_a_change_that_was_a_dead_letter_goes_to_every_partition_when_it_is_sent_again(changed: Changed) -> None:
    system = changed.system
    bad = b'{"schema_version": 3, "itemid": 900005, "version": 0, "withdrawn": true}'
    system.send([(b"900005", bad, shard) for shard in (0, 3)])
    until(lambda: len(list(dead_events(system.settings.kafka))) == 2, 60)
    assert resend(system.settings.kafka, lambda letter: True).sent == 2
    until(lambda: len(list(dead_events(system.settings.kafka))) == 2 + system.settings.kafka.partitions, 60)
    require_equal(system)


@pytest.fixture
def grown(system: System) -> Iterator[System]:
    with growing(system) as grown:
        yield grown


@pytest.mark.thorough
def test_more_partitions_have_the_changes_of_all_former_ones_and_what_waits_goes_with_its_user(
    system: System, grown: System
) -> None:
    changed, words = Changed.made(system), system.schema.events
    partly, item = system.catalogue_items()[4], system.catalogue_items()[5]
    key, value = words.encode(words.item_change(partly, 3, {"title": "Of one shard", "genres": ["War"]}))
    system.send([(key, value, 2)])
    # What waits in one shard may be known in another one.
    key, value = words.encode(words.item_change(900_006, 1, {"title": "Known to one shard"}))
    system.send([(key, value, (system.partition(MOVED) + 1) % 8)])
    users = sorted({event.userid for event in system.events})[:20]
    system.send_events([Event(userid, partly, 5, LATE) for userid in [MOVED, *users]])
    system.send_events([Event(MOVED, 900_006, 5, LATE), Event(MOVED, changed.awaited, 5, LATE)])
    send(system, words.user_change(MOVED, {"gender": "F", "age": "25"}))
    require_equal(system)
    told, errors = rebuilding().communicate(timeout=300)
    assert told, errors
    grown.wait(120)
    profiles = grown.profiles
    layers = [read_layer(profiles, shard) for shard in range(profiles.partitions)]
    assert len(layers) == grown.settings.kafka.partitions
    assert all(layer.version(partly) == 3 and layer.withdrawn == {changed.withdrawn} for layer in layers)
    assert {itemid for waiting in waiting_in(grown).values() for itemid in waiting} == {changed.awaited}
    assert changed.awaited in waiting_in(grown)[grown.partition(MOVED)]
    assert 900_006 in profiles.read_users([MOVED])[MOVED][1]
    require_equal(grown)
    # Events that were counted under the catalogues of former shards are taken back.
    grown.send_events([Event(userid, partly, 1, LATER) for userid in [MOVED, *users]])
    send(grown, words.item_change(partly, 4, {"title": "Of all", "genres": ["Drama"]}))
    grown.send_events([Event(userid, item, 1, LATER) for userid in users])
    require_equal(grown)
    requests.delete(f"{grown.api}/users/{MOVED}", timeout=30).raise_for_status()
    grown.wait_for_drift(120)
    sweep(grown.settings, now=True, progress=lambda what, share: None)
    assert search(grown.settings, MOVED, lambda *_: None) == []
    require_equal(grown)
    bring_awaited(Changed(grown, changed.userid, changed.item, changed.withdrawn), grown)
    with closing(WholeLog(grown.settings)) as log:
        assert len(log.epochs.ended) == 1
