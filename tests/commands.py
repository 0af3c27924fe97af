"""`reelstream` in tests: in this process, or in one of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import warnings
from typing import Any

from typer.testing import CliRunner

from cli import make_app


def line(*words: str) -> list[str]:
    """The command line of a process of its own."""
    return [sys.executable, "-m", "cli", *words]


def in_own_process(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user does, for a test of the command itself, or beside a load that must not slow down."""
    return subprocess.run(line(*words), check=False, capture_output=True, text=True, timeout=300)


def command(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, which has imported what takes a process of its own seconds of CPU time.

    Raises:
        Exception: any that the command does not report itself; a process of its own would print it.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as in a process of its own
            done = CliRunner().invoke(make_app(words[0]), list(words), catch_exceptions=False)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return subprocess.CompletedProcess(line(*words), done.exit_code, done.stdout, done.stderr)


def succeed(*words: str) -> dict[str, Any]:
    """The figures of a command that must succeed."""
    return figures(command(*words, "--json"))


def figures(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The figures that a command printed, which must have succeeded."""
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def refuse(*words: str) -> str:
    """The one line of a command that must fail."""
    done = command(*words)
    assert done.returncode == 1, done.stdout
    [reason] = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
    assert "Traceback" not in done.stderr, done.stderr
    return reason
