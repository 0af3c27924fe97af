"""`reelstream init`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.console import bar, one_line, out, report


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder with the files of the data set.")],
    file: Annotated[Path, typer.Option("--out", help="The description to write; it ends in .toml.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Draft the description of a data set from its files: columns, types of events, attributes. Then correct it."""
    from offline.data import draft

    with one_line(), bar("reading the files"):
        done = draft.write(folder, file)
    types = ", ".join(f"{count:,} {name}" for name, count in done.types.items())
    words = (
        f"{file} describes {done.events:,} events ({types}) of {done.users:,} users with {done.items:,} items; "
        f"it makes {len(done.assumed)} assumptions"
    )
    if json:
        report(True, asdict(done) | {"file": str(file)}, "")
    else:
        out.print(words, highlight=False, markup=False, soft_wrap=True)
        for assumed in done.assumed:
            out.print(f"  - {assumed}", highlight=False, markup=False, soft_wrap=True)
        out.print(f"Correct it, then: export REELSTREAM_DATA__DATASET={file}", highlight=False, soft_wrap=True)
