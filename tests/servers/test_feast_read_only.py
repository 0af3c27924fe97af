"""The Feast server serves two routes to those who ask it under a name that is its own, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
from feast.feature_server import get_app

import servers
from features import ItemCounter, Schema, item_row
from settings import Settings
from stores import connect
from stores.feast.feature_server import ROUTES, LiveStore
from stores.feast.feature_store import Features
from stores.redis.published import Published
from tests import shop
from tests.movielens import SCHEMA
from tests.polling import until

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

QUESTION = {"feature_service": "ml_item", "entities": {"itemid": [1]}}
WRITES = ("/push", "/write-to-online-store", "/materialize", "/materialize-incremental", "/chat")


def publish(settings: Settings, schema: Schema) -> None:
    """Begin a state with a schema."""
    with connect(settings.redis) as client:
        Published(client).begin_snapshot("data", schema)


@pytest.fixture
def address(feast_server: Settings) -> str:
    """The server's address, once it serves films."""
    found = f"http://127.0.0.1:{feast_server.feast.port}"
    publish(feast_server, SCHEMA)
    until(lambda: requests.post(f"{found}/get-online-features", json=QUESTION, timeout=10).status_code == 200, 30)
    return found


def test_nothing_is_declared_before_the_first_snapshot_and_then_what_follows_from_its_schema(redis: Settings) -> None:
    with connect(redis.redis) as client:
        client.flushall()
    store = LiveStore(redis)
    assert store.list_feature_views() == []
    for schema in (SCHEMA, shop.SCHEMA):
        publish(redis, schema)
        store.look()
        names = {field.name for view in store.list_feature_views() for field in view.features}
        assert names == {field.name for field in (*schema.user_fields, *schema.item_fields)}


def test_features_of_a_shop_are_read_by_the_texts_of_its_ids(feast_server: Settings) -> None:
    publish(feast_server, shop.SCHEMA)
    item = shop.item("item/1", "One", (0, 2), 3, 9.5)
    row = item_row(shop.SCHEMA, ItemCounter(3, 1, 100, {0: [3, 1]}), item)
    Features(feast_server, shop.SCHEMA).write_items([("item/1", row)])
    question = {"feature_service": "ml_item", "entities": {"itemid": ["item/1"]}}
    address = f"http://127.0.0.1:{feast_server.feast.port}/get-online-features"
    until(lambda: requests.post(address, json=question, timeout=10).status_code == 200, 30)
    answer = requests.post(address, json=question, timeout=10).json()
    names = answer["metadata"]["feature_names"]
    assert dict(zip(names, (each["values"][0] for each in answer["results"]), strict=True)) == {
        "itemid": "item/1",
        **row,
    }


def test_features_are_read_and_health_is_told(address: str) -> None:
    assert requests.post(f"{address}/get-online-features", json=QUESTION, timeout=10).status_code == 200
    assert requests.get(f"{address}/health", timeout=10).status_code == 200


def test_the_server_does_not_load_what_only_training_needs(feast_server: Settings) -> None:
    """Torch is 300 MB and seconds of its start."""
    assert "libtorch" not in Path(f"/proc/{servers.pid(feast_server, 'feast')}/maps").read_text()


@pytest.mark.parametrize("path", WRITES)
def test_nobody_writes(path: str, address: str) -> None:
    frame = {"userid": [1], "event_timestamp": ["2030-01-01T00:00:00Z"], "n": [10**6]}
    body = {"push_source_name": "users", "feature_view_name": "user_features", "df": frame, "end_ts": "2030-01-01"}
    assert requests.post(address + path, json=body, timeout=10).status_code == 404


def test_no_other_route_of_feast_is_served(feast_server: Settings, address: str) -> None:
    """Those of the Feast that is installed, so that a route that a later one adds is refused too."""
    app = get_app(Features(feast_server, SCHEMA).store)
    paths = {str(getattr(route, "path", "")) for route in app.routes}
    assert {*WRITES, *ROUTES, "/docs", "/openapi.json", "/static"} <= paths
    for path in paths:
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"):
            if ROUTES.get(path) != method:
                answer = requests.request(method, address + path, json=QUESTION, timeout=10)
                assert answer.status_code == (405 if path in ROUTES else 404), (method, path)


def test_no_web_socket_is_opened(address: str) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert requests.get(f"{address}/ws/chat", headers=headers, timeout=10).status_code == 403


def test_a_web_page_can_have_nothing_sent_that_is_answered(address: str) -> None:
    """Under its own name, which resolves to this machine, or as text, which needs no leave of the server."""
    path = f"{address}/get-online-features"
    for host, status in (
        ("evil.example", 421),
        ("evil.example:6566", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
        ("localhost:6566", 200),
        ("[::1]:6566", 200),
        ("Features.example", 200),
    ):
        assert requests.post(path, json=QUESTION, headers={"Host": host}, timeout=10).status_code == status, host
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        answer = requests.post(path, data=b"{}", headers={"Content-Type": kind}, timeout=10)
        assert answer.status_code == 415, kind
