"""The command `reelstream`: one module per command or group, which calls the other packages.

lifecycle, doctor              up, down, status; doctor
models, evaluate               train, publish; evaluate
stream, recommend              replay, rate, event, verify; rec, similar
adopt, rebuild, archive        adopt; rebuild; archive
erase                          erase
backup                         backup, restore
init                           init
data, items, bench             groups of commands; `bench_speed` and `bench_scale` have some of `bench`
dead, drift                    the same
demo                           demo
console, background, aside     output and progress; the background replay; running at the lowest priority
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from cli.aside import step_aside

if TYPE_CHECKING:
    import typer


def _settings() -> None:
    """Print the current settings as TOML; secrets are hidden."""
    from settings import load
    from settings.toml import as_toml

    print(as_toml(load()), end="")


def _features() -> None:
    """Print the page docs/features.md: the declared features and counts, as they are on MovieLens-1M."""
    from datasets import first_schema
    from features.document import page

    print(page(first_schema()), end="")


COMMANDS = {
    "up": "lifecycle",
    "down": "lifecycle",
    "status": "lifecycle",
    "train": "models",
    "publish": "models",
    "evaluate": "evaluate",
    "init": "init",
    "replay": "stream",
    "rec": "recommend",
    "similar": "recommend",
    "rate": "stream",
    "event": "stream",
    "verify": "stream",
    "doctor": "doctor",
    "archive": "archive",
    "erase": "erase",
    "backup": "backup",
    "restore": "backup",
    "adopt": "adopt",
    "rebuild": "rebuild",
    "demo": "demo",
}
"""The module of each command."""

GROUPS = ("data", "items", "bench", "dead", "drift")
"""Modules with commands of their own."""


def make_app(wanted: str | None = None) -> typer.Typer:
    """Build the command with all subcommands, or with the wanted one alone if it exists.

    Importing all of them takes a second of CPU time, which `publish` would take from requests.
    """
    import typer

    app = typer.Typer(
        help="An event-streaming online recommender.", no_args_is_help=True, pretty_exceptions_enable=False
    )
    alone = wanted in COMMANDS or wanted in GROUPS
    for name, module in COMMANDS.items():
        if name == wanted or not alone:
            app.command(name)(getattr(import_module(f"cli.{module}"), name))
    app.command("settings")(_settings)
    app.command("features")(_features)
    for group in GROUPS:
        if group == wanted or not alone:
            app.add_typer(import_module(f"cli.{group}").app, name=group)
    return app


def main() -> None:
    """Run the command."""
    if not sys.warnoptions:
        import warnings

        warnings.simplefilter("ignore")
        os.environ["PYTHONWARNINGS"] = "ignore"
    from settings import SettingsError, load

    try:
        settings = load()
    except SettingsError as error:
        sys.exit(f"error: {error}")
    # Before anything else is imported, which takes long.
    swaps_models = sys.argv[1:2] == ["publish"] and not {"--reset", "--rollback", "--help"} & set(sys.argv)
    if swaps_models and settings.publish.idle_priority:
        step_aside()
    make_app(sys.argv[1] if len(sys.argv) > 1 else None)()
