"""Services in compose.yaml: their specification, limits, ports, networks, health and rights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from servers import kafka
from settings import Settings, load
from tests.compose.declared import compose, dockerfile, environment, published, services, stages_of
from tests.compose.groups import BUILDERS, COMPONENTS, ONCE, OURS, STAYING, WATCHING, components, ours

NOT_ROOT_OF_THEMSELVES = {"kafka": "appuser", "elasticsearch": "elasticsearch"}
"""Stock images that have a user of their own."""


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


def test_nothing_but_our_own_processes_reaches_triton() -> None:
    assert services()["triton"]["networks"] == ["models"]
    assert compose()["networks"] == {"models": {"internal": True}}
    callers = {name for name, service in services().items() if "models" in service.get("networks", [])}
    assert callers == {"triton", "worker", "api", *ONCE}


def test_everything_that_stays_up_proves_its_health_and_is_started_again() -> None:
    for name in STAYING:
        assert services()[name]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name
        assert services()[name]["restart"] == "unless-stopped", name
    for name in ONCE:
        assert services()[name]["profiles"], name
        assert "restart" not in services()[name], name


def test_a_service_waits_until_the_stores_that_it_needs_are_healthy() -> None:
    needs = {
        "worker": {"kafka", "redis"},
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


def test_workers_can_be_many() -> None:
    worker: dict[str, Any] = services()["worker"]
    assert "container_name" not in worker
    ((_, ports, _),) = published("worker")
    first, last = map(int, ports.split("-"))
    most = next(rule.le for rule in type(load().stream).model_fields["workers"].metadata if hasattr(rule, "le"))
    assert last - first + 1 == most
