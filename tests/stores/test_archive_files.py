"""Files of the archive: what is written comes back, and a writer that dies leaves all of a file or nothing."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stores.archive import record_file as format_
from stores.archive.archive import Archive
from stores.archive.manifest import Manifest
from stores.archive.record_file import RecordFile
from stores.errors import ArchiveError
from stores.kafka.log_check import LogIdentity
from stores.kafka.record import Logged, Mark, fingerprint

STEPS = ["prepared", "created", "half written", "written", "synced", "renamed", "folder synced"]

PART = st.none() | st.binary(max_size=40)
# As kafka-python gives names out: those that are not UTF-8 with backslashes; and any other text besides.
NAME = st.binary(max_size=12).map(lambda name: name.decode("utf-8", "backslashreplace")) | st.text(
    st.characters(), max_size=8
)
HEADERS = st.lists(st.tuples(NAME, PART), max_size=4).map(tuple)


@st.composite
def logs(draw: st.DrawFn, partition: int = 3) -> tuple[int, int, list[Logged]]:
    """The first and the last offset of a range with holes, and the records in it."""
    first, size = draw(st.integers(0, 2**40)), draw(st.integers(1, 30))
    offsets = draw(st.sets(st.integers(first, first + size - 1), max_size=size).map(sorted))
    records = [
        Logged(partition, offset, draw(PART), draw(PART), draw(HEADERS), draw(st.integers(0, 2**42)) / 1000)
        for offset in offsets
    ]
    return first, first + size, records


def rating(offset: int) -> Logged:
    return Logged(0, offset, b"1", b"{}", (("replay", b"x:1"),), 1_700_000_000.123)


def all_of(archive: Archive, partition: int) -> list[Logged]:
    return [record for file in archive.files(partition) for record in archive.read(file)]


@given(log=logs())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
def test_any_records_come_back_as_they_were(log: tuple[int, int, list[Logged]]) -> None:
    _, _, records = log
    assert format_.unpack(3, format_.pack(records), "") == records


@given(log=logs(), cuts=st.sets(st.integers(1, 29), max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
def test_files_that_follow_each_other_hold_each_record_once_in_order(
    log: tuple[int, int, list[Logged]], cuts: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    first, end, records = log
    archive = Archive(tmp_path_factory.mktemp("archive") / "archive")
    edges = [first, *sorted(first + cut for cut in cuts if first + cut < end), end]
    for begin, until in pairwise(edges):
        file = archive.append(3, begin, until, [record for record in records if begin <= record.offset < until])
        assert (file.first, file.end) == (begin, until)
    assert all_of(Archive(archive.folder), 3) == records
    assert archive.bounds(3) == (first, end)
    assert archive.covers(3, first, end) and not archive.covers(3, first, end + 1)
    last = records[-1] if records else None
    assert archive.tail(3) == (last and Mark(last.offset, fingerprint(last.created, last.key, last.value)))


@pytest.mark.parametrize("died_after", STEPS)
def test_a_writer_that_dies_between_any_two_steps_leaves_all_or_nothing_and_the_next_one_goes_on(
    tmp_path: Path, died_after: str
) -> None:
    archive = Archive(tmp_path / "archive")
    archive.append(0, 0, 5, [rating(offset) for offset in range(5)])
    steps = archive.append_steps(0, 5, 9, [rating(offset) for offset in range(5, 9)])
    for step in steps:
        if step == died_after:
            break
    steps.close()
    renamed = STEPS.index(died_after) >= STEPS.index("renamed")
    reader = Archive(tmp_path / "archive")
    assert [record.offset for record in all_of(reader, 0)] == list(range(9 if renamed else 5))
    end = reader.files(0)[-1].end
    reader.append(0, end, 12, [rating(offset) for offset in range(end, 12)])
    assert [record.offset for record in all_of(reader, 0)] == list(range(12))
    assert all(RecordFile.parse(0, path.name) for path in (tmp_path / "archive" / "shard=0").iterdir())


def test_every_step_of_writing_is_tried_above(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    assert list(archive.append_steps(0, 0, 1, [rating(0)])) == STEPS


def test_a_file_that_changed_by_one_byte_is_refused(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    path = archive.path(archive.append(0, 0, 5, [rating(offset) for offset in range(5)]))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="does not match the hash"):
        all_of(archive, 0)
    path.unlink()
    with pytest.raises(ArchiveError, match="cannot be read"):
        archive.read(RecordFile.parse(0, path.name) or pytest.fail())


def test_a_missing_file_is_noticed_and_none_is_written_beyond_a_gap(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    files = [archive.append(0, at, at + 5, [rating(at)]) for at in (0, 5, 10)]
    with pytest.raises(ArchiveError, match="do not follow"):
        archive.append(0, 16, 20, [rating(16)])
    with pytest.raises(ArchiveError, match="do not follow"):
        archive.append(0, 10, 20, [rating(12)])
    archive.path(files[1]).unlink()
    with pytest.raises(ArchiveError, match="up to 4 and from 10 on"):
        archive.files(0)


def test_a_file_of_another_schema_version_is_refused(tmp_path: Path) -> None:
    table = pq.read_table(pa.BufferReader(format_.pack([rating(0)])))
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({format_.VERSION_KEY: b"99"}), sink)
    content = sink.getvalue().to_pybytes()
    file = RecordFile(0, 0, 1, hashlib.sha256(content).hexdigest())
    (tmp_path / file.name).write_bytes(content)
    with pytest.raises(ArchiveError, match="schema version 99"):
        format_.read(tmp_path / file.name, file)


def test_a_manifest_of_another_version_or_none_at_all_is_told_apart(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    assert archive.manifest() is None
    archive.write_manifest(Manifest().of_log(LogIdentity("cluster", "topic"), 8))
    assert archive.log() == LogIdentity("cluster", "topic")
    path = tmp_path / "archive" / "manifest.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 99'))
    with pytest.raises(ArchiveError, match="another version"):
        archive.manifest()


def test_what_was_set_aside_makes_room_for_another_log_and_stays_readable(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    assert archive.set_aside() is None
    archive.write_manifest(Manifest().of_log(LogIdentity("cluster", "topic"), 8))
    archive.append(0, 0, 5, [rating(offset) for offset in range(5)])
    former = archive.set_aside()
    assert former is not None and archive.bounds(0) is None and archive.log() is None
    assert Archive(former).log() == LogIdentity("cluster", "topic")
    assert [record.offset for record in all_of(Archive(former), 0)] == list(range(5))
    archive.append(0, 0, 2, [rating(0), rating(1)])
    assert [record.offset for record in all_of(archive, 0)] == [0, 1]


def test_nobody_else_can_read_the_archive(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    path = archive.path(archive.append(0, 0, 1, [rating(0)]))
    assert [each.stat().st_mode & 0o077 for each in (archive.folder, path.parent, path)] == [0, 0, 0]
