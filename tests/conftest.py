"""Servers that tests share, and the order of the tests.

pytest-randomly shuffles modules and the tests in each; `make test` runs the modules in two processes. A server
below is started by the first test in a process that needs it, and every test that uses one begins with what it needs
there, whatever ran before.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

import servers
from offline.data import generate
from settings import Settings, load
from settings.locks import locked
from tests.scale_model import publish_scale
from tests.servers_fixture import started

USERS, ITEMS, EVENTS = 80, 120, 4000

# A busy machine is slow now and then, which is no failure of what is tested.
UNTIMED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
hypothesis_settings.register_profile("short", max_examples=40, **UNTIMED)
hypothesis_settings.register_profile("thorough", max_examples=400, **UNTIMED)
hypothesis_settings.load_profile("short")


MEMORY = Path("/dev/shm")  # nosec B108
ROOM = 4 * 2**30
"""Bytes free in MEMORY, and of memory available beside it, from which on the folders of tests go there."""


def pytest_configure() -> None:
    """Keep the folders of tests in memory where there is room.

    The servers of two systems sync their files all the time. A disk that stalls for a second then stalls Redis and what
    waits for it, and no test asks what a disk keeps after a power failure.
    """
    if "PYTEST_DEBUG_TEMPROOT" in os.environ or not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        return
    found = os.statvfs(MEMORY)
    may_execute = not found.f_flag & os.ST_NOEXEC
    if may_execute and min(found.f_bavail * found.f_frsize, psutil.virtual_memory().available - ROOM) >= ROOM:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(MEMORY)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the modules that use the whole system last, so that it does not run beside the servers of other tests.

    The system's environment, in which `ML1M_DIR` is generated ratings, stays until the process ends. Of these modules,
    those that take minutes come first: one at the end would leave the other process without work.
    """
    using = {item.location[0] for item in items if "system" in getattr(item, "fixturenames", ())}
    long = {item.location[0] for item in items if item.get_closest_marker("long")}
    items.sort(key=lambda item: (item.location[0] in using, item.location[0] in using - long))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers of test processes that pytest-xdist ended before they could, as it does on Ctrl-C."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        return
    for file in config._tmp_path_factory.getbasetemp().glob("popen-*/**/supervisord.pid"):  # type: ignore[attr-defined]
        with contextlib.suppress(OSError, ValueError, psutil.Error):
            process = psutil.Process(int(file.read_text()))
            if any(str(file.parent) in word for word in process.cmdline()):
                process.terminate()


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with a generated data set, small models and a state folder of their own."""
    folder = tmp_path_factory.mktemp("offline")
    generate.make(folder / "data", USERS, ITEMS, EVENTS, seed=3)
    return load(
        state_dir=folder / "state",
        data={"folder": str(folder / "data")},
        train={
            "dim": 16,
            "layers": 1,
            "heads": 2,
            "encoder_epochs": 8,
            "encoder_batch": 4,
            "ranker_epochs": 2,
            "threads": 1,
        },
    )


@pytest.fixture(scope="session")
def run(generated: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short training run, which the whole system serves too; the first process that needs it trains."""
    from offline.train.pipeline import train

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    trained = folder / "trained"
    with locked(folder / "trained.lock"):
        if not trained.is_dir():
            shutil.copytree(train(generated).parent, folder / "training")
            (folder / "training").rename(trained)
    shutil.copytree(trained, generated.runs, dirs_exist_ok=True)
    return max(generated.runs.iterdir())


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings under which Redis is up; a test that uses it deletes what others left."""
    with started(tmp_path_factory.mktemp("redis") / "state", "redis") as settings:
        yield settings


@pytest.fixture(scope="module")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings under which Kafka is up, with two partitions."""
    folder = tmp_path_factory.mktemp("kafka") / "state"
    with started(folder, "kafka", REELSTREAM_KAFKA__PARTITIONS="2") as settings:
        yield settings


@pytest.fixture(scope="module")
def feast_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings under which the Feast server is up, and known under the names `feast` and `features.example`."""
    folder = tmp_path_factory.mktemp("feast") / "state"
    with started(folder, "redis", "feast", REELSTREAM_FEAST__HOSTS="feast, features.example") as settings:
        yield settings


@pytest.fixture(scope="module")
def triton_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings under which Triton is up and serves the model `scale`."""
    with started(tmp_path_factory.mktemp("triton") / "state") as settings:
        publish_scale(settings.model_repository, 1)
        servers.up(settings, only=["triton"])
        yield settings


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings under which the four stores are up."""
    with started(tmp_path_factory.mktemp("stores") / "state", *servers.STORES) as settings:
        yield settings
