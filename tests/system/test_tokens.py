"""The API beyond the loopback address answers nothing but liveness without a token."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import requests

from tests.system.conftest import System

TOKENS = "read:reader read+write:writer admin:boss"


@pytest.fixture(scope="module")
def public(system: System) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "REELSTREAM_API__HOST": "0.0.0.0",
        "REELSTREAM_API__PORT": str(port),
        "REELSTREAM_API__TOKENS": TOKENS,
        "REELSTREAM_STATE_DIR": str(system.settings.state),
    }
    process = subprocess.Popen([sys.executable, "-m", "api"], env=environment, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 60
        while True:
            assert time.monotonic() < until
            try:
                ready = requests.get(f"{address}/health/ready", headers=bearer("reader"), timeout=5)
                if ready.status_code == 200:
                    break
            except (requests.ConnectionError, requests.Timeout):
                pass
            time.sleep(0.2)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_without_a_token_only_liveness_answers(system: System, public: str) -> None:
    assert requests.get(f"{public}/health/live", timeout=10).status_code == 200
    for method, path in [
        ("POST", "/ml/rec"),
        ("POST", "/ratings"),
        ("GET", "/users/1"),
        ("GET", "/health/ready"),
        ("GET", "/metrics"),
        ("GET", "/nowhere"),
    ]:
        answer = requests.request(method, public + path, json={"userid": 1}, timeout=10)
        assert answer.status_code == 401, path
        assert set(answer.json()) == {"error"}


def test_a_reader_reads_and_does_not_write(system: System, public: str) -> None:
    userid = system.events[0].userid
    listed = requests.post(f"{public}/ml/rec", json={"userid": userid}, headers=bearer("reader"), timeout=10)
    assert listed.status_code == 200
    rating = {"userid": 600_001, "itemid": system.catalogue_items()[0], "rating": 5}
    assert requests.post(f"{public}/ratings", json=rating, headers=bearer("reader"), timeout=10).status_code == 403
    assert requests.post(f"{public}/ratings", json=rating, headers=bearer("writer"), timeout=10).status_code == 202
    assert requests.get(f"{public}/metrics", headers=bearer("writer"), timeout=10).status_code == 403
    assert requests.get(f"{public}/metrics", headers=bearer("boss"), timeout=10).status_code == 200
