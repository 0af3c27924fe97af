"""Events that are dead as too many others waited stay so once those of an erased user are gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import Catalogue, Erasure, Event, EventError, Id
from features.waiting import TOO_MANY
from lifecycle.erasure.due import due
from lifecycle.erasure.records import rewrite
from lifecycle.erasure.refused import mark
from offline.data.history import State
from stores import decode_event
from stores.archive.archive import Archive
from tests.lifecycle.test_erasure_files import ALL, FILMS, ITEMS, RULES, archived
from tests.movielens import SCHEMA

encode = SCHEMA.events.encode
MOST = 2
"""Events that wait in a shard at most."""


def folded(archive: Archive) -> tuple[tuple[object, ...], dict[int, str]]:
    """The state that follows from an archive, and the reasons of its dead letters by offset."""
    state, dead = State(SCHEMA, Catalogue(ITEMS, {}, 3), waiting_events=MOST), dict[int, str]()
    for file in archive.files(0):
        for record in archive.read(file):
            try:
                state.take(decode_event(record, SCHEMA, 1, 1e10), offset=record.offset)
            except EventError as error:
                dead[record.offset] = str(error)
    return (state.profiles, state.seen, state.counters, state.layer, state.waiting), dead


def erased(archive: Archive, killed_after: int | None = None) -> None:
    """Complete the erasures, as `sweep` does; killed after some files of records."""
    before = due(archive, RULES, 0, 1_000, ALL)
    refused = {offset for offset, why in folded(archive)[1].items() if why == TOO_MANY and offset < before.end}
    with archive.locked():
        mark(archive, 0, refused)
        for number, file in enumerate(archive.files(0)):
            if number == killed_after:
                return
            rewrite(archive, 0, before.before(file.end), RULES)


def test_an_event_that_was_refused_does_not_come_to_wait_in_the_place_of_an_erased_users(tmp_path: Path) -> None:
    said = [Event(1, 9, 5, 1), Event(1, 9, 4, 2), Event(2, 9, 5, 3), Event(1, 8, 5, 3), Erasure(1), Event(3, 9, 5, 4)]
    archive = archived(tmp_path / "archive", [encode(each) for each in said], 2)
    state, dead = folded(archive)
    assert dead == {2: TOO_MANY, 3: TOO_MANY}
    erased(archive)
    assert folded(archive) == (state, dead)
    (left,) = [record for file in archive.files(0) for record in archive.read(file) if record.offset == 2]
    assert (left.key, left.value) == encode(said[2])


@settings(max_examples=20, deadline=None)
@given(st.data(), st.integers(1, 5), st.integers(0, 6))
def test_the_same_state_follows_also_from_a_rewriting_that_was_cut_off(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, per_file: int, killed_after: int
) -> None:
    unknown: st.SearchStrategy[Id] = st.sampled_from((7, 8, 9))
    waiting = st.builds(Event, st.sampled_from((1, 2, 3)), unknown, st.integers(1, 5), st.integers(0, 9)).map(encode)
    records = data.draw(st.lists(waiting, max_size=12)) + data.draw(FILMS.records)
    archive = archived(tmp_path_factory.mktemp("archive"), records, per_file)
    before = folded(archive)
    erased(archive, killed_after)
    assert folded(archive) == before
    erased(archive)
    assert folded(archive) == before
    assert due(archive, RULES, 0, 1_000, ALL).offsets == {}
