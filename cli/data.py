"""`reelstream data get` and `reelstream data make`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.console import bar, download_bar, err, one_line
from offline.data import download, generate, generate_shop, readers
from offline.errors import DataError
from settings import Settings, load

app = typer.Typer(help="Download or generate data.", no_args_is_help=True)

Kind = Literal["movielens", "shop"]

DATASETS: dict[Kind, str] = {"movielens": "movielens-1m", "shop": "shop"}
MAKERS = {"movielens": generate.make, "shop": generate_shop.make}
USUAL: dict[Kind, tuple[int, int, int]] = {"movielens": (600, 400, 40_000), "shop": generate_shop.USUAL}
"""Users, items and events unless others are wanted."""


@app.command()
def get() -> None:
    """Download MovieLens-1M; an interrupted download continues."""
    with one_line(), download_bar() as tell:
        folder = download.get(_of("movielens"), tell)
    err.print(f"the ratings are in {folder}", highlight=False)


@app.command()
def make(
    like: Annotated[
        Kind | None, typer.Option(help="The data set that it is like (default: the one of the settings).")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Target folder (default: the data folder of the settings).")
    ] = None,
    users: Annotated[int | None, typer.Option(help="Number of users (600; of a shop 1,500).")] = None,
    items: Annotated[int | None, typer.Option(help="Number of items (400; of a shop 600).")] = None,
    events: Annotated[int | None, typer.Option(help="Number of events (40,000; of a shop 100,000).")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 7,
) -> None:
    """Generate data in the format of MovieLens-1M, or that of a shop with views, carts and purchases."""
    with one_line():
        kind = like or _configured()
        n_users, n_items, n_events = (
            size if given is None else given for given, size in zip((users, items, events), USUAL[kind], strict=True)
        )
        where = folder or _of(kind).data_folder
        with bar(f"generating {'ratings' if kind == 'movielens' else 'a shop'}"):
            MAKERS[kind](where, n_users, n_items, n_events, seed)
    use = f"ML1M_DIR={where}"
    if kind != "movielens":
        use = f"REELSTREAM_DATA__DATASET={DATASETS[kind]}" + (f" REELSTREAM_DATA__FOLDER={where}" if folder else "")
    noun = "ratings" if kind == "movielens" else "events"
    err.print(f"{n_events} {noun} are in {where}; `export {use}` to use them", highlight=False, soft_wrap=True)


def _configured() -> Kind:
    """The kind of data that the description in force reads.

    Raises:
        DataError: it reads another.
    """
    paths = readers.description(load()).paths
    if paths == generate_shop.FILES:
        return "shop"
    if paths == readers.FILES:
        return "movielens"
    raise DataError("data like that of this description cannot be generated; give --like movielens or --like shop")


def _of(kind: Kind) -> Settings:
    """The settings, with the data set of a kind unless they have one of that kind."""
    settings = load()
    paths = generate_shop.FILES if kind == "shop" else readers.FILES
    if readers.description(settings).paths == paths:
        return settings
    return settings.model_copy(update={"data": settings.data.model_copy(update={"dataset": DATASETS[kind]})})
