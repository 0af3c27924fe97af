"""`reelstream rec`, `similar`."""

from __future__ import annotations

import json as as_json
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table

from cli.console import one_line, out
from cli.stream import call, parse_id, schema_of
from features import Id, Schema
from features.ids import id_text
from settings import load


def rec(
    userid: Annotated[str, typer.Argument(help="The user to recommend to.")],
    size: Annotated[int, typer.Option(help="Length of the list.")] = 10,
    context: Annotated[
        list[str] | None,
        typer.Option(
            "--context", help="An item that the user has just liked, for this list alone; may be given several times."
        ),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show the sources of each item.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the API's answer as JSON.")] = False,
) -> None:
    """Print the current list for a user."""
    with one_line():
        settings = load()
        schema = schema_of(settings)
        known = parse_id(schema.user_ids, userid, "userid")
        body: dict[str, Any] = {"userid": known, "size": size, "explain": explain}
        if context:
            body["context"] = [{"itemid": parse_id(schema.item_ids, itemid, "context")} for itemid in context]
        answer = call(settings, "POST", "/ml/rec", body)
    if json:
        print(as_json.dumps(answer))
    else:
        out.print(table_of(schema, answer, f"user {userid}"))


def similar(
    itemid: Annotated[str, typer.Argument(help="The item.")],
    size: Annotated[int, typer.Option(help="Length of the list.")] = 10,
    json: Annotated[bool, typer.Option("--json", help="Print the API's answer as JSON.")] = False,
) -> None:
    """Print the items that are most similar to an item."""
    with one_line():
        settings = load()
        schema = schema_of(settings)
        known = quote(id_text(parse_id(schema.item_ids, itemid, "itemid")), safe="")
        answer = call(settings, "GET", f"/items/{known}/similar?size={size}")
    if json:
        print(as_json.dumps(answer))
    else:
        out.print(table_of(schema, answer, f"similar to item {itemid}"))


SHOWN = 3
"""Attributes of items in a table."""


def table_of(schema: Schema, answer: dict[str, Any], title: str, known: set[Id] | None = None) -> Table:
    """The list as a table; where `known` is given, items that are not in it are marked."""
    shown = [attribute.name for attribute in schema.item_attributes if attribute.kind != "text" and not attribute.of]
    as_of = answer.get("as_of")
    notes = [f"run {answer['run']}"]
    if as_of:
        notes.append(f"as of offset {as_of['offset']} of partition {as_of['partition']}")
    if answer.get("fallback"):
        notes.append(f"fallback: {answer['fallback']}")
    if answer["degraded"]:
        notes.append(f"without {', '.join(answer['degraded'])}")
    table = Table("", "itemid", "title", *shown[:SHOWN], "score", title=title, caption="; ".join(notes))
    explained = any("explain" in item for item in answer["item_list"])
    if explained:
        table.add_column("from")
    for place, item in enumerate(answer["item_list"], 1):
        new = known is not None and item["itemid"] not in known
        row = [
            str(place),
            str(item["itemid"]),
            item["title"],
            *(in_words(item[name]) for name in shown[:SHOWN]),
            f"{item['score']:.3f}",
        ]
        if explained:
            row.append(", ".join(item["explain"]["sources"]))
        table.add_row(*row, style="green" if new else None)
    return table


def in_words(value: object) -> str:
    """A value of an attribute as a table shows it."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
