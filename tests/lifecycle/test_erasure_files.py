"""Files of the archive without erased users, from which the same state follows."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as of_hypothesis
from hypothesis import strategies as st

from features import Catalogue, Erasure, Event, EventError, Id, Item, Schema, id_text
from lifecycle.erasure.due import Due, Rules, due, with_former_homes
from lifecycle.erasure.history import rewrite_data_folder
from lifecycle.erasure.records import rewrite, rewrite_all, rewrite_former
from offline import runs
from offline.data import generate, readers
from offline.data.history import State
from offline.errors import RunError
from offline.state.archived_history import archive_history
from offline.train.reference import require_same_users
from settings import Settings, load
from stores import Logged, decode_event, partition_of
from stores.archive import history
from stores.archive.archive import Archive
from stores.archive.record_file import RecordFile
from stores.errors import ArchiveError
from stores.kafka.epochs import Epoch, Epochs
from stores.kafka.record_owner import is_keyed_by, is_of_item
from tests import movielens, shop
from tests.movielens import SCHEMA

ITEMS: dict[Id, Item] = {
    itemid: movielens.item(itemid, f"item {itemid}", 1990 + itemid, (itemid,)) for itemid in (1, 2, 3)
}
RULES = Rules(SCHEMA, Epochs(1), 1e10)
USERS = (1, 2, 3)
ALL = float("inf")
encode = SCHEMA.events.encode

GOODS: dict[Id, Item] = {itemid: shop.item(itemid, itemid, (0, 2), 7, 12.5) for itemid in ("i:1", "i2", "ï")}
CUSTOMERS = ("1", "u:2", "ü 3")


@dataclass(frozen=True)
class World:
    """A data set, and records of its log."""

    schema: Schema
    items: dict[Id, Item]
    users: tuple[Id, ...]
    unknown: Id

    @property
    def rules(self) -> Rules:
        return Rules(self.schema, Epochs(1), 1e10)

    @property
    def records(self) -> st.SearchStrategy[list[tuple[bytes, bytes]]]:
        users, items = st.sampled_from(self.users), st.sampled_from([*self.items, self.unknown])
        events = st.builds(Event, users, items, st.integers(1, self.schema.codes.size - 1), st.integers(0, 9))
        erasures = st.builds(Erasure, users)
        form = self.schema.events
        changes = st.builds(form.item_change, st.one_of(items, users), st.integers(1, 9), st.just({}))
        withdrawals = st.builds(form.withdrawal, items, st.integers(1, 9))
        of_users = st.builds(form.user_change, users, st.just({}))
        said = st.one_of(events, events, events, erasures, changes, withdrawals, of_users)
        return st.lists(said.map(form.encode), min_size=1, max_size=40)

    def state_of(self, archive: Archive) -> tuple[object, ...]:
        """The state that follows from the archive, and the reasons of its dead letters."""
        state, dead = State(self.schema, Catalogue(self.items, {}, len(self.schema.user_attributes))), []
        for file in archive.files(0):
            for record in archive.read(file):
                try:
                    state.take(decode_event(record, self.schema, 1, self.rules.max_future_s), offset=record.offset)
                except EventError as error:
                    dead.append(str(error))
        counted = state.profiles, state.seen, state.counters
        return *counted, state.layer, state.waiting, state.changed_users, dead


FILMS, SHOP = World(SCHEMA, ITEMS, USERS, 9), World(shop.SCHEMA, GOODS, CUSTOMERS, "i:9")
WORLDS = pytest.mark.parametrize("world", [FILMS, SHOP], ids=["films", "shop"])


def archived(folder: Path, records: list[tuple[bytes, bytes]], per_file: int) -> Archive:
    archive = Archive(folder)
    logged = [Logged(0, offset, *record, (("name", b"value"),), 5.0) for offset, record in enumerate(records)]
    with archive.locked():
        for start in range(0, len(logged), per_file):
            some = logged[start : start + per_file]
            archive.append(0, start, start + len(some), some)
    return archive


@WORLDS
@of_hypothesis(max_examples=30, deadline=None)
@given(st.data(), st.integers(1, 7), st.integers(0, 40))
def test_from_an_archive_without_the_events_of_erased_users_the_same_state_follows(
    tmp_path_factory: pytest.TempPathFactory, world: World, data: st.DataObject, per_file: int, applied: int
) -> None:
    records = data.draw(world.records)
    archive = archived(tmp_path_factory.mktemp("archive"), records, per_file)
    before = world.state_of(archive)
    found = due(archive, world.rules, 0, applied, ALL)
    with archive.locked():
        rewrite(archive, 0, found, world.rules)
    assert world.state_of(archive) == before
    left = [record for file in archive.files(0) for record in archive.read(file)]
    assert [record.offset for record in left] == list(range(len(records)))
    for userid, erased in found.offsets.items():
        assert not any(is_keyed_by(record, id_text(userid).encode()) for record in left if record.offset <= erased)
    assert [record for record in left if is_of_item(record.value)] == [
        Logged(0, offset, *record, (("name", b"value"),), 5.0)
        for offset, record in enumerate(records)
        if is_of_item(record[1])
    ]
    assert due(archive, world.rules, 0, applied, ALL).offsets == {}


@WORLDS
@of_hypothesis(max_examples=15, deadline=None)
@given(st.data(), st.integers(1, 5), st.integers(0, 6))
def test_a_rewriting_that_was_cut_off_after_some_files_is_completed_by_the_next(
    tmp_path_factory: pytest.TempPathFactory, world: World, data: st.DataObject, per_file: int, files: int
) -> None:
    records, rules = data.draw(world.records), world.rules
    archive = archived(tmp_path_factory.mktemp("archive"), records, per_file)
    before = world.state_of(archive)

    class Killed(Exception):
        pass

    class Dying(Archive):
        left = files

        def replace(self, *given: object) -> object:
            if not self.left:
                raise Killed
            self.left -= 1
            return super().replace(*given)

    dying = Dying(archive.folder)
    try:
        rewrite(dying, 0, due(archive, rules, 0, len(records), ALL), rules)
    except Killed:
        assert world.state_of(archive) == before
        rewrite(archive, 0, due(archive, rules, 0, len(records), ALL), rules)
    assert world.state_of(archive) == before
    assert due(archive, rules, 0, len(records), ALL).offsets == {}


def test_an_erasure_erases_what_its_user_has_in_the_partition_of_before_there_were_more(tmp_path: Path) -> None:
    userid = next(userid for userid in range(1, 100) if partition_of(userid, 3) == 2)
    other = next(each for each in range(1, 100) if each != userid and partition_of(each, 2) == partition_of(userid, 2))
    before, archive = partition_of(userid, 2), Archive(tmp_path)
    epochs = Epochs(3, [Epoch(partitions=2, ends=tuple(3 if partition == before else 0 for partition in range(2)))])
    former = [Event(userid, 1, 5, 1), Event(other, 1, 5, 1), Erasure(userid)]
    with archive.locked():
        archive.append(before, 0, 3, [Logged(before, at, *encode(event)) for at, event in enumerate(former)])
        newest = [Event(userid, 2, 5, 2), Erasure(userid), Event(userid, 3, 5, 3)]
        archive.append(2, 0, 3, [Logged(2, at, *encode(event)) for at, event in enumerate(newest)])
    rules = Rules(SCHEMA, epochs, 1e10)
    assert due(archive, rules, before, 2, ALL).offsets == {userid: 2}, "by the partitions of its own epoch"
    found = with_former_homes({2: due(archive, rules, 2, 2, ALL)}, epochs)
    assert {partition: each.offsets for partition, each in found.items()} == {2: {userid: 1}, before: {userid: 2}}
    replaced: list[int] = []

    class Watched(Archive):
        def replace(self, file: RecordFile, records: Sequence[Logged]) -> RecordFile:
            replaced.append(file.partition)
            return super().replace(file, records)

    with archive.locked():
        assert rewrite_all(Watched(tmp_path), found, rules) == 4
    assert replaced == [before, 2], "the erasure goes last"
    left = {
        partition: [record.key for file in archive.files(partition) for record in archive.read(file)]
        for partition in (before, 2)
    }
    assert left == {before: [None, str(other).encode(), None], 2: [None, None, str(userid).encode()]}


def test_an_erasure_waits_for_its_time_and_until_it_is_folded(tmp_path: Path) -> None:
    archive = archived(tmp_path, [encode(Event(1, 1, 5, 1)), encode(Erasure(1)), encode(Erasure(2))], 10)
    assert due(archive, RULES, 0, 1, ALL).offsets == {1: 1}
    assert due(archive, RULES, 0, 2, before_s=4.0).offsets == {}
    assert due(archive, RULES, 0, 0, ALL).left == 2


def test_a_key_with_zeros_before_the_number_is_the_users_and_one_that_is_another_text_is_not(tmp_path: Path) -> None:
    keys = [b"1", b"01", b"10", None, b"x1"]
    assert [Due({1: 9}).is_of_erased(Logged(0, 5, key, b"")) for key in keys] == [True, True, False, False, False]
    assert [Due({"1": 9}).is_of_erased(Logged(0, 5, key, b"")) for key in keys] == [True, False, False, False, False]
    assert not Due({1: 4}).is_of_erased(Logged(0, 5, b"1", b""))
    assert not Due({1: 9}).is_of_erased(Logged(0, 5, b"1" * 10_000, b""))


def test_of_a_file_that_was_replaced_and_not_deleted_the_newer_is_read(tmp_path: Path) -> None:
    archive = archived(tmp_path, [encode(Event(1, 1, 5, 1)), encode(Event(2, 1, 5, 1))], 10)
    (file,) = archive.files(0)
    kept = archive.path(file).read_bytes()
    written = archive.replace(file, archive.read(file)[1:])
    archive.path(file).write_bytes(kept)
    os.utime(archive.path(file), (1, 1))
    assert archive.files(0) == [written]
    content = archive.path(written).read_bytes()
    archive.path(written).write_bytes(content[:-1])
    with archive.locked(), pytest.raises(ArchiveError):
        archive.settle()
    assert archive.path(file).exists(), "which the damaged one does not replace"
    archive.path(written).write_bytes(content)
    with archive.locked():
        assert (archive.settle(), archive.settle()) == (1, 0)
    assert not archive.path(file).exists()
    assert archive.read(file) == archive.read(written)


def test_records_of_a_log_that_was_given_up_lose_the_user_whenever_they_came(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    former = archived(tmp_path / "former" / "one", [encode(Event(1, 1, 5, 1)), encode(Event(2, 1, 5, 1))], 10)
    assert rewrite_former(archive, {1}) == 1
    (file,) = former.files(0)
    assert [record.key for record in former.read(file)] == [None, b"2"]


def settings_in(folder: Path) -> Settings:
    """Settings with a state folder that holds everything, and no data folder of others."""
    return load(state_dir=folder, data={"folder": str(folder / "data")})


@pytest.fixture
def generated(tmp_path: Path) -> Settings:
    settings = load(state_dir=tmp_path / "state", data={"folder": str(tmp_path / "data")})
    generate.make(settings.data_folder, users=12, items=60, events=300, seed=1)
    return settings


def test_a_history_without_users_keeps_the_others_and_the_hash_of_its_data(generated: Settings) -> None:
    ratings = readers.load(generated)
    data_hash = readers.data_hash(ratings)
    archive_history(generated, ratings, data_hash)
    archive = Archive(generated.archive_folder)
    with archive.locked():
        assert history.without_users(archive, {3, 5, 999}, {"": {0: 7}}) == 2
        assert history.without_users(archive, {3}, {"": {0: 4, 1: 9}}) == 0
    left = readers.load(generated)
    every = ratings.events(np.arange(len(ratings)))
    assert list(left.events(np.arange(len(left)))) == [event for event in every if event.userid not in (3, 5)]
    assert left.catalogue.users.keys() == ratings.catalogue.users.keys() - {3, 5}
    assert left.catalogue.items == ratings.catalogue.items
    assert readers.data_hash(left) == data_hash
    assert json.loads((generated.archive_folder / "manifest.json").read_text())["history"]["erased"] == 2
    assert left.erased_to == {"": {0: 7, 1: 9}}, "what was erased stays erased"


def test_the_scores_of_a_run_are_not_taken_for_those_of_a_history_that_users_were_erased_from(
    generated: Settings, tmp_path: Path
) -> None:
    ratings = readers.load(generated)
    archive_history(generated, ratings, readers.data_hash(ratings))
    archive = Archive(generated.archive_folder)
    schema = runs.InputSchema(ids=[], dense=[*SCHEMA.dense_columns], dim=3, history=10)
    figures = {"metrics": {}, "seconds": {}, "peak_memory_mb": 0.0, "files": {}}

    def write_manifest(erased_to: dict[str, dict[int, int]]) -> None:
        manifest = runs.Manifest(
            format=runs.FORMAT,
            run="one",
            created=datetime.now(UTC),
            data_hash="a",
            seed=0,
            train={},
            input_schema=schema,
            erased_to=erased_to,
            **figures,
        )
        (tmp_path / runs.MANIFEST).write_text(manifest.model_dump_json(by_alias=True))

    (tmp_path / runs.SCHEMA).write_text(SCHEMA.to_json())
    write_manifest({})
    require_same_users(tmp_path, ratings)
    with archive.locked():
        history.without_users(archive, {3}, {"": {0: 7}})
    with pytest.raises(RunError, match="train again"):
        require_same_users(tmp_path, readers.load(generated))
    write_manifest({"": {0: 7}})
    require_same_users(tmp_path, readers.load(generated))


def test_the_history_of_other_data_is_not_read_in_place_of_the_data_folder(generated: Settings, tmp_path: Path) -> None:
    ratings = readers.load(generated)
    archive_history(generated, ratings, readers.data_hash(ratings))
    archive = Archive(generated.archive_folder)
    with archive.locked():
        history.without_users(archive, {3}, {"": {0: 7}})
    other = load(state_dir=generated.state, data={"folder": str(tmp_path / "other")})
    generate.make(other.data_folder, users=12, items=60, events=300, seed=2)
    assert 3 in readers.load(other).catalogue.users


@pytest.mark.parametrize("half", [False, True])
def test_a_new_history_that_was_not_put_in_place_is_read_where_it_is(generated: Settings, half: bool) -> None:
    ratings = readers.load(generated)
    archive_history(generated, ratings, readers.data_hash(ratings))
    archive = Archive(generated.archive_folder)
    folder, coming = archive.folder / history.HISTORY, archive.folder / history.COMING
    former = {path.name: path.read_bytes() for path in folder.iterdir()}
    with archive.locked():
        history.without_users(archive, {3}, {"": {0: 7}})
    coming.mkdir()
    for number, (name, content) in enumerate(sorted(former.items())):
        if half and number == 0:
            continue
        (folder / name).replace(coming / name)
        (folder / name).write_bytes(content)
    assert 3 not in readers.load(generated).catalogue.users
    with archive.locked():
        history.settle(archive)
    assert not coming.exists()
    assert 3 not in readers.load(generated).catalogue.users


@pytest.mark.parametrize("ours", [False, True])
def test_a_data_folder_of_our_own_loses_the_erased_users_and_another_one_is_named(
    generated: Settings, tmp_path: Path, ours: bool
) -> None:
    settings = load(state_dir=tmp_path, data={"folder": str(generated.data_folder)}) if ours else generated
    ratings, archive = readers.load(settings), Archive(settings.archive_folder)
    archive_history(settings, ratings, readers.data_hash(ratings))
    assert rewrite_data_folder(settings, archive) is None
    with archive.locked():
        history.without_users(archive, {3, 5}, {"": {0: 7}})
    before = [(settings.data_folder / name).read_bytes() for name in readers.FILES]
    assert rewrite_data_folder(settings, archive) == (None if ours else settings.data_folder)
    after = [(settings.data_folder / name).read_bytes() for name in readers.FILES]
    kept = [b"".join(line for line in text.splitlines(True) if line[:3] not in (b"3::", b"5::")) for text in before[:2]]
    assert after == ([*kept, before[2]] if ours else before)
    assert rewrite_data_folder(settings, archive) == (None if ours else settings.data_folder)


def test_a_data_folder_in_another_layout_is_named_and_not_read_any_more_wherever_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "u.data").write_text("1\t1\t5\t100\n1\t1\t4\t200\n2\t1\t5\t300\n")
    (folder / "u.item").write_text("1|One (1990)|01-Jan-1990|||0|1" + "|0" * 17 + "\n", encoding="latin-1")
    (folder / "u.user").write_text("1|24|M|writer|85711\n2|30|F|other|85712\n")
    settings = load(state_dir=tmp_path, data={"folder": str(folder), "dataset": "movielens-100k"})
    ratings, archive = readers.load(settings), Archive(settings.archive_folder)
    archive_history(settings, ratings, readers.data_hash(ratings))
    with archive.locked():
        history.without_users(archive, {1}, {"": {0: 7}})
    assert rewrite_data_folder(settings, archive) == folder
    assert readers.load(settings).catalogue.users.keys() == {2}


def test_a_history_that_is_archived_again_after_a_reset_goes_on_lacking_the_erased_users(generated: Settings) -> None:
    archive = Archive(generated.archive_folder)
    archive_history(generated, readers.load(generated), readers.data_hash(readers.load(generated)))
    with archive.locked():
        history.without_users(archive, {3}, {"topic": {0: 7}})
    ratings = readers.load(generated)
    with archive.locked():
        archive.delete()
    archive_history(generated, ratings, readers.data_hash(ratings))
    again = readers.load(generated)
    assert 3 not in again.catalogue.users and again.erased_to == {"topic": {0: 7}}
    assert readers.data_hash(again) == readers.data_hash(ratings)
