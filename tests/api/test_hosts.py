"""The hosts under which the API may be reached."""

from __future__ import annotations

import pytest
from flask import Flask, jsonify
from flask.testing import FlaskClient
from pydantic import SecretStr

from api.http import add_error_handlers
from api.security.hosts import Authority
from api.security.tokens import guard
from settings import ApiSettings, SettingsError

PATHS = ("/health/live", "/ml/rec", "/metrics", "/nowhere", "/pages/data/stream")


def client(**settings: object) -> FlaskClient:
    app = Flask("test")
    add_error_handlers(app)
    guard(app, ApiSettings.model_validate(settings))
    for endpoint, path in {"live": "/health/live", "recommend": "/ml/rec", "metrics": "/metrics"}.items():
        app.add_url_rule(path, endpoint, lambda: jsonify({"status": "ok"}), methods=["GET", "POST"])
    return app.test_client()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example"]
)
def test_a_name_that_is_not_allowed_is_refused_on_every_route_though_host_and_origin_agree(
    path: str, method: str, host: str
) -> None:
    answer = client().open(path, method=method, headers={"Host": host, "Origin": f"http://{host}"})
    assert answer.status_code == 403
    assert answer.json == {"error": f"the host {host} is not allowed; add it to the setting api.hosts"}


def test_a_token_does_not_open_a_name_that_is_not_allowed() -> None:
    guarded = client(tokens=SecretStr("admin:boss"))
    headers = {"Authorization": "Bearer boss", "Host": "evil.example"}
    assert guarded.get("/metrics", headers=headers).status_code == 403
    assert guarded.get("/metrics", headers=headers | {"Host": "localhost"}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8080", "localhost.", "localhost.:80", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8080",
     "[0:0:0:0:0:0:0:1]"],
)  # fmt: skip
def test_loopback_names_are_allowed_with_any_port_and_in_any_case(host: str) -> None:
    assert client().get("/ml/rec", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["", " ", "localhost:", "localhost:port", "localhost..", ".localhost", "localhost,localhost",
     "localhost@evil.example", "evil.example@localhost", "localhost/", "::1", "[::1", "[localhost]",
     "localhost\x00", "local\u017fhost", "127.1",
     "2130706433", "0x7f000001", "127.0.0.2", "localhost:99999999999", "a" * 100_000],
)  # fmt: skip
def test_what_is_not_a_name_on_the_list_is_refused(host: str) -> None:
    answer = client().get("/ml/rec", environ_overrides={"HTTP_HOST": host})
    assert answer.status_code == 403
    assert len(answer.get_data()) < 500


def test_a_request_without_a_host_is_refused() -> None:
    environment = {"REQUEST_METHOD": "GET", "PATH_INFO": "/ml/rec", "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80"}
    environment |= {"SERVER_PROTOCOL": "HTTP/1.0", "wsgi.url_scheme": "http"}
    statuses: list[str] = []
    client().application.wsgi_app(environment, lambda status, headers, info=None: statuses.append(status))  # type: ignore
    assert statuses == ["403 FORBIDDEN"]


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "http://localhost.evil.example", "file://", "localhost"]
)
def test_a_page_of_a_site_that_is_not_allowed_may_not_even_read(origin: str) -> None:
    answer = client().get("/ml/rec", headers={"Host": "localhost", "Origin": origin})
    assert answer.status_code == 403
    assert answer.json and answer.json["error"].startswith("the origin ")


def test_a_page_of_an_allowed_site_may_change_something_only_on_its_own_site() -> None:
    app = client()
    for origin, status in {
        "http://localhost:8080": 200,
        "http://LocalHost.:8080": 200,
        "http://localhost": 403,
    }.items():
        headers = {"Host": "localhost:8080", "Origin": origin}
        assert app.post("/ml/rec", headers=headers).status_code == status
        assert app.get("/ml/rec", headers=headers).status_code == 200
    assert app.post("/ml/rec", headers={"Host": "localhost", "Origin": "http://localhost:80"}).status_code == 200


def test_the_setting_names_the_hosts_and_may_bind_one_to_a_port() -> None:
    app = client(hosts="Reel.Example, api:8080,[fe80::1]", host="10.0.0.7")
    hosts = {"reel.example:9": 200, "api:8080": 200, "api": 403, "api:80": 403, "[fe80::1]:5": 200, "localhost": 403}
    assert {host: app.get("/ml/rec", headers={"Host": host}).status_code for host in hosts} == hosts | {
        # Beyond the loopback address a request needs a token; it has passed the list.
        host: 401
        for host, status in hosts.items()
        if status == 200
    }
    assert app.get("/health/live", headers={"Host": "10.0.0.7:8080"}).status_code == 200


def test_the_address_that_a_connection_came_in_on_is_allowed() -> None:
    app = client(host="0.0.0.0")
    arrived = {"SERVER_NAME": "10.1.2.3"}
    for host, status in {"10.1.2.3:8080": 200, "10.1.2.4": 403, "evil.example": 403}.items():
        assert app.get("/health/live", environ_overrides=arrived | {"HTTP_HOST": host}).status_code == status
    named = {"SERVER_NAME": "evil.example", "HTTP_HOST": "evil.example"}
    assert app.get("/health/live", environ_overrides=named).status_code == 403


@pytest.mark.parametrize("hosts", ["http://localhost", "a b", "localhost,*"])
def test_a_list_that_cannot_be_read_is_told_in_one_line(hosts: str) -> None:
    with pytest.raises(SettingsError, match=r"setting api\.hosts: .* is not a host"):
        client(hosts=hosts)


def test_authorities_are_compared_in_one_form() -> None:
    assert Authority.of("A.Example.:80") == Authority("a.example", 80)
    assert Authority.of("[::FFFF]") == Authority("::ffff")
    assert Authority.of("a..b") is None
