"""The page docs/features.md, written from the declarations: `reelstream features > docs/features.md`."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from features import declarations
from features.counts import Attribute, Count
from features.declarations import DECLARED
from features.schema import Schema

HEAD = """# Features

These are the features of MovieLens-1M. This page is written from `features/declarations.py`, `features/counts.py` and
the description of the data set, and a test compares it with them. [Add a feature](add-a-feature.md) shows how to change
them.
"""

FEATURES = """## The ranker's dense input

A row of these columns stands for a pair of a user and an item, as of one moment. `user_` and `item_` stand before the
names of the counts below.
"""

COUNTS = """## Counts

Whole numbers that follow from events, and attributes of the catalogue. They are the fields of the feature rows in
Feast. Where no feature uses a count, it serves something else, such as popularity, or only tells versions apart.
"""


def page(schema: Schema) -> str:
    """The page for a data set."""
    features = [
        (f"`{feature.name}:…` ({len(feature.columns)} columns)" if feature.several else f"`{feature.name}`")
        + f" | {feature.description.replace('{}', '…')} | `{formula_text(feature.formula)}` | {feature.unit}"
        for feature in schema.table.features
    ]
    shared = [
        f"`{name}({', '.join(inspect.signature(function).parameters)})` | {_sentence(function)} | "
        f"`{formula_text(function)}`"
        for name, function in _shared_formulas()
    ]
    constants = [
        f"`{name}` | {value}"
        for name, value in vars(declarations).items()
        if isinstance(value, float) and name.isupper()
    ]
    return "\n".join(
        [
            HEAD,
            FEATURES,
            _table("feature | description | formula | unit or range", features),
            "The formulas share these functions and constants:\n",
            _table("function | description | formula", shared),
            _table("constant | value", constants),
            COUNTS,
            "### Of a user\n",
            _fields(schema, "user", schema.user_fields),
            "### Of an item\n",
            _fields(schema, "item", [*schema.item_counts, *schema.attributes_of_items]),
            f"The version of the stored state that follows from these counts is `{schema.state_version}`.\n",
        ]
    )


def formula_text(function: Callable[..., Any]) -> str:
    """The formula of a function as it is written there: the statements of its body, without docstring and types.

    >>> formula_text(declarations.user_like_rate)
    'like_rate(user_likes, user_n, share)'
    """
    function = function.func if isinstance(function, partial) else function
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(definition, ast.FunctionDef)
    lines: list[str] = []
    variable = ""
    for statement in definition.body[1:]:
        if isinstance(statement, ast.AnnAssign) and statement.value is not None:
            variable = ast.unparse(statement.target)
            lines.append(f"{variable} = {ast.unparse(statement.value)}")
        elif isinstance(statement, ast.Return) and statement.value is not None:
            value = ast.unparse(statement.value)
            if lines and value == variable:
                lines[-1] = lines[-1].removeprefix(f"{variable} = ")
            else:
                lines.append(value)
        else:
            lines.append(ast.unparse(statement))
    return "; ".join(lines)


def _shared_formulas() -> list[tuple[str, Callable[..., Any]]]:
    names = {declaration.name for declaration in DECLARED.declared}
    return [
        (name, function)
        for name, function in vars(declarations).items()
        if inspect.isfunction(function) and function.__module__ == declarations.__name__ and name not in names
    ]


def _sentence(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or "").partition("\n")[0]


def _fields(schema: Schema, side: str, fields: Sequence[Count | Attribute]) -> str:
    rows = []
    for field in fields:
        used = ", ".join(f"`{name}`" for name in schema.table.using(side, field.name)) or "-"
        rows.append(f"`{field.name}` | {field.length} | {field.description} | {used}")
    return _table("name | length | description | used by", rows)


def _table(head: str, rows: Iterable[str]) -> str:
    rule = " | ".join("---" for _ in head.split(" | "))
    return "\n".join(f"| {row} |" for row in (head, rule, *rows)) + "\n"
