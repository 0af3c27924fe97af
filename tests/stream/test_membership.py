"""The name of a worker in Kafka's consumer group."""

from __future__ import annotations

from pathlib import Path

import pytest

from settings import load
from stream.app import new_app
from stream.consume.membership import member_name


def test_a_worker_keeps_its_name_and_no_other_has_it(tmp_path: Path) -> None:
    first = member_name(tmp_path / "0")
    assert member_name(tmp_path / "0") == first
    assert member_name(tmp_path / "1") != first


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"not a name", b"0" * 31])
def test_a_file_without_a_name_is_written_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "member").write_bytes(content)
    assert member_name(tmp_path) == member_name(tmp_path) != content.decode("latin-1")


def test_an_application_is_a_member_under_the_name_of_its_worker(tmp_path: Path) -> None:
    settings = load(state_dir=tmp_path)
    names = [new_app(settings, index).conf.consumer_group_instance_id for index in (0, 1, 0)]
    assert names[0] == names[2] != names[1]
