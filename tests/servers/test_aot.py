"""AOT caches of the Java servers: made once, used where sound, and never in the way."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

import servers
from servers import aot, elasticsearch, java, kafka
from servers.component import Component, Launch, NotYet
from settings import Settings

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

LOADED = ("-Xlog:class+load", "-cp", java.class_path(kafka.jars()), "kafka.tools.StorageTool", "random-uuid")
FROM_CACHE = "source: shared objects file"


def made(name: str) -> Path:
    """The cache of a server, which `make setup` made."""
    servers.setup(Settings(), only=[name])
    [file] = [file for file in (elasticsearch.aot_cache(), kafka.aot_cache()) if file.name.startswith(name)]
    return file


def loaded_with(file: Path) -> str:
    """Have Kafka's Java load classes with a cache, and tell from where each came; it must succeed in any case."""
    command = [str(java.JAVA), *kafka.JAVA_OPTIONS, *aot.using(file), *LOADED]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def server(answers: Callable[[], None], *command: str) -> Callable[[Path, object], Component]:
    """A server that is ready when `answers` says so."""
    launch = Launch(["/bin/sh", "-c", *command], {}, Path("/"))
    return lambda _state, _options: Component("sh", (), lambda: launch, answers)


def never() -> None:
    raise NotYet("it is silent")


@pytest.mark.parametrize("name", ["kafka", "elasticsearch"])
def test_setup_makes_a_cache_of_each_java_server(name: str) -> None:
    assert made(name).stat().st_size > 10_000_000


def test_java_takes_classes_of_a_server_from_its_cache() -> None:
    classes = [line for line in loaded_with(made("kafka")).splitlines() if " org.apache.kafka." in line]
    assert classes and sum(FROM_CACHE in line for line in classes) > len(classes) / 2


def test_elasticsearch_maps_its_cache(stores: Settings) -> None:
    for name in ("elasticsearch", "kafka"):
        mapped = {mapping.path for mapping in psutil.Process(servers.pid(stores, name)).memory_maps()}
        assert str(made(name).resolve()) in mapped, name


@pytest.mark.parametrize("damage", ["missing", "empty", "cut off", "changed"])
def test_java_does_without_a_cache_that_is_not_sound(damage: str, tmp_path: Path) -> None:
    sound, file = made("kafka").read_bytes(), tmp_path / "damaged.aot"
    contents = {
        "empty": b"",
        "cut off": sound[: len(sound) // 2],
        "changed": sound[: len(sound) // 3] + b"\xa5" * 64 + sound[len(sound) // 3 + 64 :],
    }
    if damage in contents:
        file.write_bytes(contents[damage])
    assert FROM_CACHE not in loaded_with(file)


def test_another_jar_or_the_same_in_another_folder_is_another_cache(tmp_path: Path) -> None:
    jar = tmp_path / "a.jar"
    jar.write_bytes(b"1")
    before = aot.cache_file("a", [jar])
    assert aot.cache_file("a", [jar]) == before
    moved = tmp_path / "moved"
    shutil.copytree(tmp_path, moved, ignore=shutil.ignore_patterns("moved"))
    assert aot.cache_file("a", [moved / "a.jar"]) != before
    jar.write_bytes(b"12")
    assert aot.cache_file("a", [jar]) != before


@pytest.mark.parametrize("command", ["exit 1", "sleep 60"])
def test_a_failed_training_run_costs_a_start_without_a_cache_and_is_not_repeated(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aot, "READY_S", 1.0)
    file, runs = tmp_path / "a.aot", list[Path]()

    def failing(state: Path, options: object) -> Component:
        runs.append(state)
        return server(never, command)(state, options)

    for _ in range(2):
        aot.create(file, failing, lambda _: None)
        assert file.read_bytes() == b""
    assert len(runs) == 1
    assert list(tmp_path.iterdir()) == [file]
    assert not [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", "60"]]


def test_a_folder_that_cannot_be_written_costs_a_start_without_a_cache(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "a.aot"
    aot.create(file, server(never, "exit 1"), lambda _: None)
    assert not file.exists()


def test_a_cache_that_is_there_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "a.aot"
    file.write_bytes(b"1")
    aot.create(file, server(never, "exit 1"), lambda _: None)
    assert file.read_bytes() == b"1"


def test_a_cache_is_whole_when_it_appears_and_nothing_else_is_left(tmp_path: Path) -> None:
    file, used = tmp_path / "a.aot", list[str]()

    def writing(_state: Path, options: Sequence[str]) -> Component:
        written = options[0].removeprefix("-XX:AOTCacheOutput=")
        command = (
            f"trap 'sleep 0.2; echo whole > {written}; exit' TERM; touch {written}.ready; while :; do sleep 0.1; done"
        )

        def answers() -> None:
            if not Path(f"{written}.ready").exists():
                raise NotYet("it is silent")

        return server(answers, command)(_state, options)

    aot.create(file, writing, lambda component: used.append(component.name))
    assert file.read_text() == "whole\n"
    assert used == ["sh"]
    assert list(tmp_path.iterdir()) == [file]
    assert not [
        process for process in psutil.process_iter(["cmdline"]) if str(tmp_path) in str(process.info["cmdline"])
    ]
