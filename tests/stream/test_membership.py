"""The client id of a worker, by which it removes from Kafka's consumer group the process before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from settings import load
from stream.app import new_app, worker_folder
from stream.consume.membership import client_id, remove_predecessor


def test_a_worker_keeps_its_client_id_and_no_other_has_it(tmp_path: Path) -> None:
    first = client_id(tmp_path / "0")
    assert client_id(tmp_path / "0") == first
    assert client_id(tmp_path / "1") != first


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"not an id", b"reelstream-0"])
def test_a_file_without_a_client_id_is_written_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "client-id").write_bytes(content)
    assert client_id(tmp_path) == client_id(tmp_path) != content.decode("latin-1")


def test_an_application_joins_with_the_client_id_of_its_worker(tmp_path: Path) -> None:
    settings = load(state_dir=tmp_path)
    for index in (0, 1, 0):
        assert new_app(settings, index).conf.broker_client_id == client_id(worker_folder(settings, index))


def test_a_worker_starts_where_its_predecessor_cannot_be_removed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kafka = load(state_dir=tmp_path).kafka.model_copy(update={"bootstrap": "127.0.0.1:1", "timeout_s": 0.5})
    remove_predecessor(kafka, tmp_path)
    assert "could not be removed from the consumer group: Kafka at 127.0.0.1:1 does not answer" in caplog.text
