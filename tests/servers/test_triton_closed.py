"""Attacks on Triton: nobody but the owner reaches it, and nobody loads a model, shares memory or moves its log."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import stat
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests
from tritonclient import grpc
from tritonclient.utils import InferenceServerException

import servers
from settings import Settings
from tests.compose.declared import services

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

SERVICE = "/inference.GRPCInferenceService/"
PYTHON = {"name": "x", "backend": "python", "max_batch_size": 0, "input": [], "output": []}


@pytest.fixture
def client(triton_server: Settings) -> Iterator[grpc.InferenceServerClient]:
    with grpc.InferenceServerClient(triton_server.triton.address) as client:
        yield client


def code_that_writes(file: Path) -> bytes:
    """A model that writes a file when it is loaded."""
    return f"open({str(file)!r}, 'w')\nclass TritonPythonModel:\n    pass\n".encode()


def test_triton_listens_on_no_port_and_its_socket_is_for_its_owner_alone(triton_server: Settings) -> None:
    process = psutil.Process(servers.pid(triton_server, "triton"))
    for each in (process, *process.children(recursive=True)):
        assert each.net_connections("inet") == []
    path = Path(triton_server.triton.address.removeprefix("unix:"))
    assert path.is_socket()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_health_check_of_compose_is_answered_and_fails_where_nobody_answers(triton_server: Settings) -> None:
    kind, check = services()["triton"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    for path, healthy in ((triton_server.triton.address.removeprefix("unix:"), True), ("/nowhere", False)):
        command = check.replace("curl ", f"curl --unix-socket {path} ")
        assert (subprocess.run(["sh", "-c", command], capture_output=True, check=False).returncode == 0) is healthy


def test_the_request_of_a_web_page_that_loads_code_is_not_even_understood(
    triton_server: Settings, tmp_path: Path
) -> None:
    """The request as reported: a page can send it, as text/plain needs no leave of the server."""
    code = base64.b64encode(code_that_writes(tmp_path / "executed")).decode()
    body = json.dumps({"parameters": {"config": json.dumps(PYTHON), "file:1/model.py": code}})
    process = psutil.Process(servers.pid(triton_server, "triton"))
    for each in (process, *process.children(recursive=True)):
        for listener in each.net_connections("inet"):
            address = f"http://127.0.0.1:{listener.laddr.port}/v2/repository/models/x/load"
            with contextlib.suppress(requests.RequestException):
                requests.post(address, data=body, headers={"Content-Type": "text/plain"}, timeout=10)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(triton_server.triton.address.removeprefix("unix:"))
        connection.sendall(
            b"POST /v2/repository/models/x/load HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
            + f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        connection.settimeout(5)
        assert b" 200 " not in connection.recv(65536)
    assert not (tmp_path / "executed").exists()


def test_nobody_loads_or_unloads_a_model_over_grpc(client: grpc.InferenceServerClient, tmp_path: Path) -> None:
    files = {"file:1/model.py": code_that_writes(tmp_path / "executed")}
    for attack in (
        lambda: client.load_model("x", config=json.dumps(PYTHON), files=files),
        lambda: client.load_model("scale", config=json.dumps(PYTHON | {"name": "scale"}), files=files),
        lambda: client.load_model("scale"),
        lambda: client.unload_model("scale"),
    ):
        with pytest.raises(InferenceServerException, match="load / unload is not allowed"):
            attack()
    assert client.is_model_ready("scale", "1")
    assert not (tmp_path / "executed").exists()


ATTACKS: dict[str, Callable[[grpc.InferenceServerClient], object]] = {
    "share system memory": lambda client: client.register_system_shared_memory("region", "/region", 64),
    "list shared system memory": lambda client: client.get_system_shared_memory_status(),
    "release system memory": lambda client: client.unregister_system_shared_memory(),
    "share GPU memory": lambda client: client.register_cuda_shared_memory("region", b"", 0, 64),
    "list shared GPU memory": lambda client: client.get_cuda_shared_memory_status(),
    "trace requests": lambda client: client.update_trace_settings(settings={"trace_level": "TENSORS"}),
    "read how requests are traced": lambda client: client.get_trace_settings(),
    "move the log": lambda client: client.update_log_settings({"log_file": "/tmp/log"}),
    "read the settings of the log": lambda client: client.get_log_settings(),
    "read a configuration": lambda client: client.get_model_config("scale"),
    "read statistics": lambda client: client.get_inference_statistics(),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_nobody_needs_is_closed(name: str, client: grpc.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="This protocol is restricted"):
        ATTACKS[name](client)


def test_the_header_that_a_closed_protocol_asks_for_cannot_be_sent(triton_server: Settings) -> None:
    """Triton shows its name to everybody, so nothing may turn on who knows it."""
    assert b"grpc-status\x010" in answer(triton_server, "ServerReady")
    assert b"This protocol is restricted" in answer(triton_server, "LogSettings")
    for name in ("triton-grpc-protocol-NOBODY", "triton-grpc-protocol-nobody"):
        said = answer(triton_server, "LogSettings", (name, "nobody"))
        assert said
        assert b"grpc-status\x010" not in said
        assert b"log_file" not in said


def answer(settings: Settings, method: str, *headers: tuple[str, str]) -> bytes:
    """Triton's answer to a request written byte by byte, which a gRPC client would refuse to send."""

    def field(name: str, value: str) -> bytes:
        return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()

    def frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
        return struct.pack(">I", len(content))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + content

    standard = ((":method", "POST"), (":scheme", "http"), (":path", SERVICE + method), (":authority", "localhost"))
    fields = (*standard, ("content-type", "application/grpc"), ("te", "trailers"), *headers)
    request = frame(1, 4, 1, b"".join(field(*each) for each in fields)) + frame(0, 1, 1, bytes(5))
    received = b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(3)
        connection.connect(settings.triton.address.removeprefix("unix:"))
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + request)
        while b"grpc-status" not in received:
            received += connection.recv(65536)
    return received
