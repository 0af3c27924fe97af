"""`reelstream train` and `publish`."""

from __future__ import annotations

import json as as_json
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import bar, one_line, report, stage_bars
from settings import Settings, load

if TYPE_CHECKING:
    from offline.publish.publication import Report
    from offline.state.lock import Progress

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def train(
    quick: Annotated[
        bool, typer.Option("--quick", help="Train a small model for exploration, not the best one.")
    ] = False,
    validation: Annotated[
        bool,
        typer.Option(
            "--validation",
            help="Train on the training events alone, for `evaluate --validation`; such a run is not published.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Train the sequence encoders and the ranker, and write a run folder."""
    with one_line(), stage_bars("reading the data set") as tell:
        # PyTorch takes seconds to import.
        from offline import runs
        from offline.train.pipeline import train as train_all

        settings = load()
        run = train_all(settings.quick() if quick else settings, tell, validation=validation)
    manifest = runs.manifest(run)
    figures = as_json.loads(manifest.model_dump_json(by_alias=True))
    report(json, figures, f"run {manifest.run}: {metrics_in_words(manifest.metrics)}")


def metrics_in_words(metrics: dict[str, dict[str, float]]) -> str:
    """The figures of a run in one line."""
    parts = [
        f"{part} " + ", ".join(f"{name} {value:.4f}" for name, value in of.items()) for part, of in metrics.items()
    ]
    return "; ".join(parts)


def publish(
    run: Annotated[str | None, typer.Argument(help="The run to publish (default: the newest).")] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Delete the log and the live state, and start over with the snapshot.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Publish even if the run is worse on validation than the live run.")
    ] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Restore the run that was live before.")] = False,
    json: Json = False,
) -> None:
    """Put a run live; the first time, also write the snapshot of the offline history."""
    if rollback:
        with one_line(), bar("restoring the previous run"):
            from offline.publish.rollback import rollback as go_back

            live = go_back(load())
        report(json, live.model_dump(), f"run {live.run} is live again as version {live.version}")
        return
    with one_line(), bar("publishing") as tell:
        done = publish_run(load(), run, tell, reset=reset, force=force)
    state = (
        f"snapshot of {done.snapshot.events:,} events and {done.snapshot.users:,} users written"
        if done.wrote_snapshot
        else "live state kept (--reset starts over)"
    )
    figures = {
        "run": done.live.run,
        "version": done.live.version,
        "wrote_snapshot": done.wrote_snapshot,
        "snapshot": done.snapshot.model_dump(),
    }
    report(json, figures, f"run {done.live.run} is live as version {done.live.version}; {state}")


def publish_run(
    settings: Settings, run: str | None, tell: Progress, *, reset: bool = False, force: bool = False
) -> Report:
    """Publish on the servers of this machine: with the workers stopped while the state is deleted, and with the
    repository that this machine's Triton serves brought up to date."""
    import servers
    from offline import runs
    from offline.publish.publication import publish

    folder = runs.folder(settings, run)
    stopped: list[str] = []
    try:
        return publish(
            settings,
            folder,
            reset=reset,
            force=force,
            install=lambda: servers.derive(settings),
            stop_workers=lambda: stopped.extend(servers.stop(settings, ["workers"])),
            progress=tell,
        )
    finally:
        if stopped:
            servers.start(settings, stopped)
