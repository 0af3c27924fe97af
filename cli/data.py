"""`reelstream data get` and `reelstream data make`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import bar, download_bar, err, one_line
from offline.data import download, generate
from settings import load

app = typer.Typer(help="Download or generate the ratings.", no_args_is_help=True)


@app.command()
def get() -> None:
    """Download MovieLens-1M; an interrupted download continues."""
    with one_line(), download_bar() as tell:
        folder = download.get(load(), tell)
    err.print(f"the ratings are in {folder}", highlight=False)


@app.command()
def make(
    folder: Annotated[
        Path | None, typer.Option(help="Target folder (default: the data folder of the settings).")
    ] = None,
    users: Annotated[int, typer.Option(help="Number of users.")] = 600,
    items: Annotated[int, typer.Option(help="Number of items.")] = 400,
    events: Annotated[int, typer.Option(help="Number of ratings.")] = 40_000,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 7,
) -> None:
    """Generate a data set in the format of MovieLens-1M, with tastes, sessions, popularity and genres."""
    with one_line(), bar("generating ratings"):
        where = folder or load().data_folder
        generate.make(where, users, items, events, seed)
    err.print(f"{events} ratings are in {where}; `export ML1M_DIR={where}` to use them", highlight=False)
