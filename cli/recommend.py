"""`reelstream rec`."""

from __future__ import annotations

import json as as_json
from typing import Annotated, Any

import typer
from rich.table import Table

from cli.console import one_line, out
from cli.stream import call
from settings import load


def rec(
    userid: Annotated[int, typer.Argument(help="The user to recommend to.")],
    size: Annotated[int, typer.Option(help="Length of the list.")] = 10,
    explain: Annotated[bool, typer.Option("--explain", help="Show the sources of each item.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the API's answer as JSON.")] = False,
) -> None:
    """Print the current list for a user."""
    with one_line():
        answer = call(load(), "POST", "/ml/rec", {"userid": userid, "size": size, "explain": explain})
    if json:
        print(as_json.dumps(answer))
    else:
        out.print(table_of(answer, f"user {userid}"))


def table_of(answer: dict[str, Any], title: str, known: set[int] | None = None) -> Table:
    """The list as a table; where `known` is given, items that are not in it are marked."""
    as_of = answer["as_of"]
    notes = [f"run {answer['run']}"]
    if as_of:
        notes.append(f"as of offset {as_of['offset']} of partition {as_of['partition']}")
    if answer["fallback"]:
        notes.append(f"fallback: {answer['fallback']}")
    if answer["degraded"]:
        notes.append(f"without {', '.join(answer['degraded'])}")
    table = Table("", "itemid", "title", "year", "genres", "score", title=title, caption="; ".join(notes))
    explained = any("explain" in item for item in answer["item_list"])
    if explained:
        table.add_column("from")
    for place, item in enumerate(answer["item_list"], 1):
        new = known is not None and item["itemid"] not in known
        row = [
            str(place),
            str(item["itemid"]),
            item["title"],
            str(item["year"]),
            ", ".join(item["genres"]),
            f"{item['score']:.3f}",
        ]
        if explained:
            row.append(", ".join(item["explain"]["sources"]))
        table.add_row(*row, style="green" if new else None)
    return table
