"""`reelstream verify` folds changes of items and users too, and reports by name what is stored of them and is wrong."""

from __future__ import annotations

import pytest
from elasticsearch import Elasticsearch

from features import Erasure, Event, id_text
from stores import Published
from tests.system.conftest import System
from tests.system.item_changes import LATE, TAMPERINGS, Changed, send
from tests.system.tampering import found, restored


@pytest.fixture
def changed(system: System, own_state: None) -> Changed:
    return Changed.made(system)


def test_changes_are_folded_and_nothing_differs(changed: Changed) -> None:
    system, partitions = changed.system, changed.system.settings.kafka.partitions
    result = found(system, sample=1000)
    items = len(Published(system.client).catalogue())
    assert result.differing == {}
    assert result.changes == 3 * partitions + 1
    assert (result.changed, result.waiting) == (3 * partitions, 1)
    # One item came, and one went; facts of the withdrawn one are kept.
    assert (result.items, result.documents) == (items + 1, items)
    assert result.inputs > 0


def test_waiting_events_count_and_events_are_taken_back_as_they_were_counted(changed: Changed) -> None:
    system, words = changed.system, changed.system.schema.events
    send(system, words.item_change(changed.awaited, 1, {"genres": ["Western"]}))
    send(system, words.item_change(changed.item, 6, {"genres": ["Drama", "Comedy"]}))
    # Takes back what was counted under version 5.
    system.send_events([Event(changed.userid, changed.item, 1, LATE + 10)])
    send(system, words.item_change(changed.withdrawn, 6, {"title": "Here again"}))
    system.wait_for_items()
    result = found(system, sample=1000)
    assert result.differing == {}
    assert result.waiting == 0
    assert changed.awaited in {itemid for _, itemid, _ in system.profiles.profile(changed.userid)[0].recent}


def test_what_waits_of_an_erased_user_is_gone_and_nothing_differs(changed: Changed) -> None:
    system, words = changed.system, changed.system.schema.events
    key, value = words.encode(Erasure(changed.userid))
    system.send([(key, value, changed.shard)])
    send(system, words.item_change(changed.awaited, 1, {}))
    system.wait_for_items()
    result = found(system, sample=1000)
    assert result.differing == {}
    assert system.profiles.profile(changed.userid)[0] is None


def test_what_was_tampered_with_is_reported_by_name(changed: Changed) -> None:
    system = changed.system
    run = Published(system.client).run()
    assert run is not None
    missing = []
    with restored(system), Elasticsearch(system.settings.elasticsearch.url) as elastic:
        document = {"itemid": changed.withdrawn, "title": "withdrawn"}
        elastic.index(index=run.index, id=id_text(changed.withdrawn), document=document, refresh=True)
        elastic.update(index=run.index, id=id_text(changed.new), doc={"genres": []}, refresh=True)
        wanted = [tamper(changed) for tamper in TAMPERINGS]
        wanted += [f"document {itemid} of {run.index}" for itemid in (changed.withdrawn, changed.new)]
        differing = found(system).differing
        missing = [name for name in wanted if not any(each.startswith(name) for each in differing)]
    assert missing == [], differing
