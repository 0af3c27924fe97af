"""The stock model repository, derived for Triton's Python backend and served."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import tritonclient.grpc as triton
from google.protobuf import text_format  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2

import servers
from servers.triton.repository import derive
from settings import Settings
from tests.polling import until
from tests.scale_model import CONFIG, infer_scale, publish_scale


def test_a_derived_model_keeps_all_of_its_configuration_but_the_backend(tmp_path: Path) -> None:
    publish_scale(tmp_path / "stock", 1)
    derive(tmp_path / "stock", tmp_path / "derived")
    stock = text_format.Parse(CONFIG, model_config_pb2.ModelConfig())
    derived = text_format.Parse(
        (tmp_path / "derived" / "scale" / "config.pbtxt").read_text(), model_config_pb2.ModelConfig()
    )
    assert derived.backend == "python"
    assert derived.platform == ""
    stock.platform, derived.backend = "", ""
    assert derived == stock


def test_each_version_gets_its_own_model_and_the_other_files_come_along(tmp_path: Path) -> None:
    stock, derived = tmp_path / "stock", tmp_path / "derived"
    publish_scale(stock, 1)
    publish_scale(stock, 20260101120000)
    (stock / "scale" / "1" / "model.onnx.data").write_bytes(b"weights")
    (stock / "scale" / "labels.txt").write_text("like")
    derive(stock, derived)
    assert (derived / "scale" / "labels.txt").read_text() == "like"
    assert (derived / "scale" / "1" / "model.onnx.data").read_bytes() == b"weights"
    for version in ("1", "20260101120000"):
        assert (derived / "scale" / version / "model.py").is_file()
        copy, original = (root / "scale" / version / "model.onnx" for root in (derived, stock))
        assert copy.read_bytes() == original.read_bytes()
        assert not copy.samefile(original)


def test_deriving_again_follows_what_was_added_changed_and_withdrawn(tmp_path: Path) -> None:
    stock, derived = tmp_path / "stock", tmp_path / "derived"
    publish_scale(stock, 1)
    publish_scale(stock, 2)
    derive(stock, derived)
    untouched = (derived / "scale" / "2" / "model.onnx").stat()
    (stock / "scale" / "1" / "model.onnx").unlink()
    (stock / "scale" / "1").rmdir()
    publish_scale(stock, 3)
    derive(stock, derived)
    assert sorted(folder.name for folder in (derived / "scale").iterdir() if folder.is_dir()) == ["2", "3"]
    assert (derived / "scale" / "2" / "model.onnx").stat().st_ino == untouched.st_ino
    (stock / "scale" / "2" / "model.onnx").write_bytes(b"changed")
    derive(stock, derived)
    assert (derived / "scale" / "2" / "model.onnx").read_bytes() == b"changed"


def test_a_version_that_is_being_written_is_not_mirrored_and_one_that_was_left_behind_goes(tmp_path: Path) -> None:
    stock, derived = tmp_path / "stock", tmp_path / "derived"
    publish_scale(stock, 1)
    for name in ("0123", ".new-123"):
        (stock / "scale" / name).mkdir()
    derive(stock, derived)
    (derived / "scale" / "0456").mkdir()
    derive(stock, derived)
    assert sorted(folder.name for folder in (derived / "scale").iterdir() if folder.is_dir()) == ["1"]


def test_an_absent_stock_repository_derives_an_empty_one(tmp_path: Path) -> None:
    derive(tmp_path / "stock", tmp_path / "derived")
    assert list((tmp_path / "derived").iterdir()) == []


def test_a_configuration_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    publish_scale(tmp_path / "stock", 1)
    (tmp_path / "stock" / "scale" / "config.pbtxt").write_text("input {")
    with pytest.raises(servers.ServersError, match=r"config\.pbtxt"):
        derive(tmp_path / "stock", tmp_path / "derived")


@pytest.mark.servers
@pytest.mark.timeout(120)
def test_a_running_server_serves_two_versions_at_once_and_again_after_it_was_killed(settings: Settings) -> None:
    publish_scale(settings.model_repository, 1)
    servers.up(settings, only=["triton"])
    with triton.InferenceServerClient(settings.triton.address) as client:
        assert infer_scale(client, "1") == [[0.0, 1.5, 3.0], [4.5, 6.0, 7.5]]
        publish_scale(settings.model_repository, 7)
        servers.derive(settings)
        until(lambda: client.is_model_ready("scale", "7"))
        assert infer_scale(client, "1") == [[0.0, 1.5, 3.0], [4.5, 6.0, 7.5]]
        assert infer_scale(client, "7") == [[0.0, 7.5, 15.0], [22.5, 30.0, 37.5]]
    killed = servers.pid(settings, "triton")
    os.kill(killed, signal.SIGKILL)
    until(lambda: _pid(settings) not in (None, killed))
    servers.up(settings, only=["triton"])
    with triton.InferenceServerClient(settings.triton.address) as client:
        assert infer_scale(client, "7") == [[0.0, 7.5, 15.0], [22.5, 30.0, 37.5]]


@pytest.mark.servers
@pytest.mark.timeout(120)
def test_a_model_that_cannot_be_loaded_does_not_stop_the_others(settings: Settings) -> None:
    publish_scale(settings.model_repository, 1)
    broken = settings.model_repository / "broken"
    (broken / "1").mkdir(parents=True)
    (broken / "config.pbtxt").write_text(CONFIG.replace('"scale"', '"broken"'))
    (broken / "1" / "model.onnx").write_bytes(b"no model")
    servers.up(settings, only=["triton"])
    with triton.InferenceServerClient(settings.triton.address) as client:
        assert not client.is_model_ready("broken")
        assert infer_scale(client, "1") == [[0.0, 1.5, 3.0], [4.5, 6.0, 7.5]]


def _pid(settings: Settings) -> int | None:
    try:
        return servers.pid(settings, "triton")
    except servers.NotRunning:
        return None
