"""`reelstream items`: items that come, change or go while the system serves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import pydantic_core
import typer

from cli.console import count_bar, one_line, report
from cli.stream import call, parse_id, schema_of
from features import Id, ItemChange, Schema, id_text
from features.words import TITLE
from settings import Settings, SettingsError, load
from stores import Generations, LogError, Unreachable, connect

app = typer.Typer(help="Put, change and withdraw items while the system serves.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Version = Annotated[
    int | None,
    typer.Option(
        min=1, help="Version of the change; of all changes of an item, the greatest counts (default: the time now)."
    ),
]

TOGETHER = 200
"""Items whose changes are appended together."""

SHOWN = 5
"""Most unknown values of an attribute that a report names."""


@app.callback()
def items() -> None:
    """Put, change and withdraw items while the system serves."""


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV, JSON lines or Parquet, with the columns of the items' file.")],
    version: Version = None,
    json: Json = False,
) -> None:
    """Put all items of a file, new ones and known ones alike; a file with an error changes nothing.

    The columns are those of the file of items that the description of the data set names. An item that the file lacks
    stays as it is.
    """
    # Imported late: PyArrow takes a moment to load.
    from offline.data.item_file import read_items

    with one_line():
        settings = load()
        schema = schema_of(settings)
        found = read_items(schema, file, now_us() if version is None else version)
        append_all(settings, schema, found.changes)
    figures = {"items": len(found.changes), "version": found.changes[0].version, "unknown_values": found.unknown}
    report(json, figures, f"{len(found.changes):,} items put{unknown_in_words(found.unknown)}")


def append_all(settings: Settings, schema: Schema, changes: Sequence[ItemChange]) -> None:
    """Append changes to every partition of the log.

    Raises:
        LogError: while partitions are added to the log.
        StoreError: if Kafka refuses a change.
        Unreachable: if a store does not answer; the changes before may be in the log.
    """
    # Imported late, for `put` and `withdraw`, which ask the API.
    from stores.kafka.item_changes import ItemChanges

    live, refused = Generations(connect(settings.redis)).followed()
    if refused:
        raise LogError("partitions are being added to the log, which takes a few seconds; run the command again")
    sender, partitions = ItemChanges(settings.kafka, schema.events), live.append_over(settings.kafka.partitions)
    try:
        with count_bar("appending items", len(changes)) as count:
            for start in range(0, len(changes), TOGETHER):
                try:
                    sender.append(changes[start : start + TOGETHER], partitions)
                except Unreachable as error:
                    raise Unreachable(
                        f"{start:,} of {len(changes):,} items were put; run the command again ({error})"
                    ) from None
                count("appending items", min(start + TOGETHER, len(changes)))
    finally:
        sender.close()


@app.command()
def put(
    itemid: Annotated[str, typer.Argument(help="The item.")],
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]...", help="Title and attributes; several categories: ['a', 'b'] as JSON."),
    ] = None,
    version: Version = None,
    json: Json = False,
) -> None:
    """Put an item through the API: a new one, or one whose attributes change; those not given are missing then."""
    with one_line():
        settings = load()
        schema = schema_of(settings)
        known = parse_id(schema.item_ids, itemid, "itemid")
        body = attributes_of(schema, values or []) | ({} if version is None else {"version": version})
        answer = call(settings, "PUT", path_of(known), body)
    words = f"item {itemid} put with version {answer['version']} in {len(positions_of(answer))} partitions"
    unknown = answer.get("unknown_values")
    report(json, answer, words + unknown_in_words(unknown if isinstance(unknown, dict) else {}))


@app.command()
def withdraw(
    itemid: Annotated[str, typer.Argument(help="The item.")], version: Version = None, json: Json = False
) -> None:
    """Withdraw an item through the API: it is never recommended again, unless it is put again; its events count on."""
    with one_line():
        settings = load()
        known = parse_id(schema_of(settings).item_ids, itemid, "itemid")
        answer = call(settings, "DELETE", path_of(known) + ("" if version is None else f"?version={version}"))
    words = f"item {itemid} withdrawn with version {answer['version']} in {len(positions_of(answer))} partitions"
    report(json, answer, words)


def path_of(itemid: Id) -> str:
    """The address of an item."""
    return f"/items/{quote(id_text(itemid), safe='')}"


def positions_of(answer: dict[str, object]) -> Sequence[Any]:
    """The positions at which a change was appended."""
    positions = answer["positions"]
    assert isinstance(positions, list)
    return positions


def attributes_of(schema: Schema, words: Sequence[str]) -> dict[str, object]:
    """Attributes from words of a command such as `title=Lamp`, `price=5` and `categories=garden`.

    Raises:
        SettingsError: naming the word and the rule.
    """
    kinds = {attribute.name: attribute.kind for attribute in schema.item_attributes}
    kinds |= {TITLE: "title"} if schema.titled else {}
    attributes: dict[str, object] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or name not in kinds:
            known = f"one of {', '.join(kinds)}" if kinds else "none: the items of this data set have no attributes"
            raise SettingsError(f"{word!r} must be NAME=VALUE with a name that the data set has ({known})")
        attributes[name] = _value(kinds[name], name, text)
    return attributes


def _value(kind: str, name: str, text: str) -> object:
    """The value of an attribute from a word; one that is not of its kind is left to the API."""
    if kind in {"category", "title", "text"}:
        return text
    try:
        value: object = pydantic_core.from_json(text)
    except ValueError:
        value = text
    if kind == "number":
        if isinstance(value, str):
            raise SettingsError(f"{name} must be a number, not {text!r}")
        return value
    return value if isinstance(value, list) else [text]


def unknown_in_words(unknown: dict[str, list[str]]) -> str:
    """The values that the schema does not know, as they follow a report."""
    parts = [f"{name} {', '.join(values[:SHOWN])}{', ...' * (len(values) > SHOWN)}" for name, values in unknown.items()]
    return f"; unknown, and so missing until the next reset: {'; '.join(parts)}" if parts else ""


def now_us() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000
