"""Programs that tests need and packages of Python do not bring."""

from __future__ import annotations

import os
import shutil

import pytest


def required_program(names: str, tested: str, package: str, variable: str = "") -> str:
    """The path of a program; without it the test is skipped, in CI it fails.

    Args:
        names: names under which it is installed, separated by spaces.
        tested: what needs it.
        package: the package of Debian that has it.
        variable: an environment variable that may hold its path.
    """
    path = os.environ.get(variable) or next(filter(None, map(shutil.which, names.split())), None)
    if path:
        return path
    name = names.split(maxsplit=1)[0]
    missing = f"{tested} cannot be tested without {name}; install it (Debian: apt-get install {package})"
    if variable:
        missing += f" or give its path in {variable}"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
