"""Variables, secrets and folders in compose.yaml fit the settings."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from api.security.tokens import tokens_of
from settings import Settings, SettingsError, load
from tests.compose.declared import REPOSITORY, SECRETS, VARIABLE, commands, compose, mounts, services
from tests.compose.groups import ONCE, OURS, ours, use

WHERE = {
    "REELSTREAM_STATE_DIR",
    "REELSTREAM_KAFKA__BOOTSTRAP",
    "REELSTREAM_REDIS__HOST",
    "REELSTREAM_ELASTICSEARCH__URL",
    "REELSTREAM_TRITON__HOST",
    "REELSTREAM_FEAST__HOST",
    "REELSTREAM_FEAST__HOSTS",
    "REELSTREAM_STREAM__HOST",
    "REELSTREAM_API__HOST",
    "REELSTREAM_API__HOSTS",
    "REELSTREAM_DATA__FOLDER",
}

WHO = {
    "REELSTREAM_REDIS__PASSWORD",
    "REELSTREAM_ELASTICSEARCH__USERNAME",
    "REELSTREAM_ELASTICSEARCH__PASSWORD",
    "REELSTREAM_API__TOKENS",
    "REELSTREAM_API__TOKEN",
}

# The archiver's container has the archive alone, and an erasure needs the other files of the state too.
OF_ONE = {"archiver": {"REELSTREAM_ERASURE__DAILY"}}


def variables_of(section: BaseModel, prefix: str = "REELSTREAM_") -> dict[str, object]:
    """The variable of every setting, with the value that the setting has."""
    found: dict[str, object] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            found |= variables_of(value, f"{prefix}{name.upper()}__")
        else:
            found[prefix + name.upper()] = value
    return found


def test_prometheus_reads_metrics_and_may_do_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, ours("api"))
    scopes = {token.secret: token.scopes for token in tokens_of(load().api)}
    assert scopes[SECRETS["METRICS_TOKEN"]] == {"metrics"}
    assert services()["prometheus"]["secrets"] == ["metrics_token"]
    assert compose()["secrets"] == {"metrics_token": {"environment": "METRICS_TOKEN"}}


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_and_they_load(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, ours(name))
    settings = load()
    assert set(ours(name)) <= set(variables_of(settings))
    assert settings.redis.password.get_secret_value() == SECRETS["REDIS_PASSWORD"]
    assert settings.elasticsearch.password.get_secret_value() == SECRETS["ELASTIC_PASSWORD"]


def test_a_misspelt_variable_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, {**ours("api"), "REELSTREAM_KAFKA__BOOTSTRAPS": "kafka:9092"})
    with pytest.raises(SettingsError, match="bootstraps"):
        load()


@pytest.mark.parametrize("name", OURS)
def test_only_where_and_who_differ_from_the_settings(name: str, settings: Settings) -> None:
    defaults = variables_of(settings)
    differing = {variable for variable, value in ours(name).items() if str(defaults[variable]) != value}
    assert differing == (differing & (WHERE | WHO)) | OF_ONE.get(name, set())


@pytest.mark.parametrize("name", OURS)
def test_stores_are_found_by_the_name_of_their_service_and_the_port_of_the_settings(
    name: str, settings: Settings
) -> None:
    given = ours(name)
    assert given["REELSTREAM_KAFKA__BOOTSTRAP"] == settings.kafka.bootstrap.replace("127.0.0.1", "kafka")
    assert given["REELSTREAM_ELASTICSEARCH__URL"] == settings.elasticsearch.url.replace("127.0.0.1", "elasticsearch")
    assert given["REELSTREAM_REDIS__HOST"] == "redis"
    assert given["REELSTREAM_TRITON__HOST"] == "triton"


@pytest.mark.parametrize("name", ["feast", "stream", "api"])
def test_our_servers_listen_beyond_their_container(name: str) -> None:
    service = "worker" if name == "stream" else name
    assert ours(service)[f"REELSTREAM_{name.upper()}__HOST"] == "0.0.0.0"


def test_the_first_request_that_the_documentation_sends_carries_the_token() -> None:
    text = (REPOSITORY / "docs" / "docker.md").read_text()
    requests = [line for line in text.splitlines() if line.strip().startswith("curl")]
    assert requests
    assert all("Authorization: Bearer $API_TOKEN" in line for line in requests)


def test_every_value_from_outside_is_required_and_named_in_the_example() -> None:
    used = VARIABLE.findall((REPOSITORY / "compose.yaml").read_text())
    assert used and all(rule.startswith(":?copy .env.example to .env") for _, rule in used)
    lines = (REPOSITORY / ".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert example == {name: "" for name, _ in used}


def test_no_password_is_an_argument() -> None:
    secrets = {value for name, value in SECRETS.items() if name != "ML1M_DIR"}
    for name, service in services().items():
        words = [*service.get("command", []), *service.get("healthcheck", {}).get("test", [])]
        assert not any(secret in word for secret in secrets for word in words), name


def test_triton_serves_the_repository_that_publish_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, ours("publish"))
    assert str(load().model_repository) == mounts("publish")["models"]
    assert f"--model-repository={mounts('triton')['models']}" in services()["triton"]["command"]
    assert "models:/models:ro" in services()["triton"]["volumes"]


@pytest.mark.parametrize("name", ["feast", "api", "publish", "reelstream"])
def test_all_read_one_registry_of_features(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, ours(name))
    assert str(load().feast_registry.parent) == mounts(name)["feast"]


@pytest.mark.parametrize("name", ONCE)
def test_runs_are_kept_and_the_ratings_are_only_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, ours(name))
    settings = load()
    assert str(settings.runs) == mounts(name)["runs"]
    assert str(settings.data_folder) == mounts(name)[SECRETS["ML1M_DIR"]]
    (ratings,) = [volume for volume in services()[name]["volumes"] if isinstance(volume, dict)]
    assert ratings["read_only"] is True and ratings["bind"] == {"create_host_path": False}


def test_folders_of_volumes_are_made_in_our_image() -> None:
    made = {word for command in commands("reelstream") if command[0] == "install" for word in command}
    volumes: set[str] = set(compose()["volumes"])
    for name in OURS:
        assert {target for source, target in mounts(name).items() if source in volumes} <= made


def test_the_api_answers_to_the_name_by_which_the_other_services_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from api.security.hosts import Hosts

    use(monkeypatch, ours("api"))
    hosts = Hosts(load().api)
    for host in ("api:8080", "localhost:8080", "127.0.0.1:8080"):
        assert hosts.refusal({"HTTP_HOST": host}) is None
    assert hosts.refusal({"HTTP_HOST": "evil.example:8080"})
