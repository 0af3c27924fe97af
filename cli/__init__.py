"""The one command, `reelstream`. Thin: what it does stands in the rooms."""

from __future__ import annotations

import os
import sys

import typer

from settings import SettingsError, load
from settings.toml import as_toml


def _settings() -> None:
    """Print the settings in force, as TOML; secrets are hidden."""
    print(as_toml(load()), end="")


def make_app() -> typer.Typer:
    """The command with all its subcommands."""
    from cli import bench, data, dead, demo, evaluate, lifecycle, models, recommend, stream

    app = typer.Typer(
        help="An event-streaming online recommender.", no_args_is_help=True, pretty_exceptions_enable=False
    )
    for command in (
        lifecycle.up,
        lifecycle.down,
        lifecycle.status,
        models.train,
        models.publish,
        evaluate.evaluate,
        stream.replay,
        recommend.rec,
        stream.rate,
        stream.verify,
        demo.demo,
    ):
        app.command()(command)
    app.command("settings")(_settings)
    app.add_typer(data.app, name="data")
    app.add_typer(bench.app, name="bench")
    app.add_typer(dead.app, name="dead")
    return app


def main() -> None:
    """Run the command."""
    if not sys.warnoptions:
        import warnings

        warnings.simplefilter("ignore")
        os.environ["PYTHONWARNINGS"] = "ignore"
    try:
        load()
    except SettingsError as error:
        sys.exit(f"error: {error}")
    make_app()()
