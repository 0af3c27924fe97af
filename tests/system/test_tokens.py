"""The API beyond the loopback address answers nothing but liveness without a token."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.system.conftest import System
from tests.system.second_api import bearer, public_api


@pytest.fixture(scope="module")
def public(system: System) -> Iterator[str]:
    with public_api(system) as address:
        yield address


def test_without_a_token_only_liveness_answers(system: System, public: str) -> None:
    assert requests.get(f"{public}/health/live", timeout=10).status_code == 200
    for method, path in [
        ("POST", "/ml/rec"),
        ("POST", "/ratings"),
        ("GET", "/users/1"),
        ("DELETE", "/users/1"),
        ("GET", "/users/1/export"),
        ("GET", "/health/ready"),
        ("GET", "/metrics"),
        ("GET", "/nowhere"),
        ("GET", "/pages/data/stream"),
        ("GET", "/pages/data/drift"),
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
    erased = f"{public}/users/600001"
    assert requests.delete(erased, headers=bearer("reader"), timeout=10).status_code == 403
    assert requests.delete(erased, headers=bearer("writer"), timeout=10).status_code == 202
    assert requests.get(f"{public}/metrics", headers=bearer("writer"), timeout=10).status_code == 403
    assert requests.get(f"{public}/metrics", headers=bearer("boss"), timeout=10).status_code == 200
