"""Requests of every kind that the OpenAPI document allows or forbids: no server error, each answer as described."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode, checks

from api.data_set import DataSetApi
from api.openapi import document
from settings import ApiSettings
from tests.movielens import SCHEMA
from tests.system.conftest import System

OPERATIONS = [
    ("/ml/rec", "post"),
    ("/events", "post"),
    ("/ratings", "post"),
    ("/ml/rec/batch", "post"),
    ("/items/{itemid}", "get"),
    ("/items/{itemid}", "put"),
    ("/items/{itemid}", "delete"),
    ("/users/{userid}", "put"),
    ("/items/{itemid}/similar", "get"),
    ("/items/popular", "get"),
    ("/items/latest", "get"),
    ("/users/{userid}", "get"),
    ("/users/{userid}", "delete"),
    ("/drift/acknowledge", "post"),
    ("/drift/alarms", "get"),
    ("/health/live", "get"),
    ("/health/ready", "get"),
    ("/metrics", "get"),
    ("/users/{userid}/export", "get"),
]
NOBODY = 1_000_000_000
"""Users and items from here on are no other test's."""

CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]
SENTENCES = re.compile(
    r".+: .+|.* is missing|the body must be a JSON (object( or a list of them)?|list of requests)|"
    r"the body may have at most .+|"
    r"the list must have .+|value must be .+|an event has only one of .+|give either userid or history",
    re.DOTALL,
)
"""The field, which may be any name that a request makes up, and the rule."""
EXAMPLES = 60


CASES = [(path, method, GenerationMode.POSITIVE) for path, method in OPERATIONS]
CASES += [(path, method, GenerationMode.NEGATIVE) for path, method in OPERATIONS[:14]]
"""The others take nothing that could be forbidden."""


@pytest.fixture(scope="module")
def nothing_is_left_that_is_wrong(system: System, in_order: None) -> Iterator[None]:
    """Check after the last request that the state is what the log says."""
    yield
    system.wait()
    assert system.verify().differing == {}


@pytest.mark.usefixtures("nothing_is_left_that_is_wrong")
@pytest.mark.parametrize(("path", "method", "mode"), CASES)
def test_no_request_is_a_server_error_and_a_refusal_names_the_rule(
    system: System, path: str, method: str, mode: GenerationMode
) -> None:
    described = schemathesis.openapi.from_url(f"{system.api}/openapi.json")
    operation = described[path][method]
    statuses: set[int] = set()

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def send(case: schemathesis.Case) -> None:
        if method in {"put", "delete"}:
            for name, id_ in case.path_parameters.items():
                if isinstance(id_, int) and id_ >= 1:
                    case.path_parameters[name] = max(id_, NOBODY + id_ % NOBODY)
        answer = case.call(timeout=30)
        case.validate_response(answer, checks=CHECKS)
        statuses.add(answer.status_code)
        if answer.status_code == 400:
            assert SENTENCES.fullmatch(answer.json()["error"]), answer.json()

    send()
    assert statuses
    if mode is GenerationMode.NEGATIVE:
        assert statuses & {400, 404, 405}


def test_the_document_names_every_route_and_the_limits(system: System) -> None:
    told = system.get("/openapi.json").json()
    assert {(path, method) for path, methods in told["paths"].items() for method in methods} == set(OPERATIONS)
    fields = told["components"]["schemas"]["RecommendationRequest"]["properties"]
    assert fields["size"]["maximum"] == system.settings.api.max_size
    assert fields["exclude"]["maxItems"] == system.settings.api.max_history
    assert "security" not in told["paths"]["/ml/rec"]["post"]


def test_the_document_asks_for_a_token_where_the_api_does() -> None:
    told = document(ApiSettings(host="0.0.0.0"), DataSetApi(SCHEMA), guarded=True)
    for path, methods in told["paths"].items():
        for operation in methods.values():
            assert ("security" in operation) == (path != "/health/live")
            assert ("401" in operation["responses"]) == (path != "/health/live")
