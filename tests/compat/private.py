"""Checks that a private part of a library is still there as it was."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any


def parameters(function: Callable[..., Any]) -> str:
    """The names of a function's parameters, in one line."""
    return ", ".join(signature(function).parameters)
