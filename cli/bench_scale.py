"""`reelstream bench scale`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import bar, one_line, report
from cli.models import publish_run
from cli.stream import held_out
from settings import Settings, load

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def scale_(
    items: Annotated[
        list[int] | None, typer.Option(min=40, help="Size of a catalogue; may be repeated (default: 4k, 40k, 400k).")
    ] = None,
    users: Annotated[int, typer.Option(min=1, help="Users of the data that each is trained on.")] = 6000,
    events: Annotated[int, typer.Option(min=1, max=2_000_000, help="Events of these data.")] = 600_000,
    state_users: Annotated[
        list[int] | None, typer.Option(min=100, help="Users of a state; may be repeated (default: 6k, 100k, 1M).")
    ] = None,
    history: Annotated[int, typer.Option(min=1, max=10_000, help="Events of each of these users.")] = 20,
    histories: Annotated[
        list[int] | None,
        typer.Option(min=1, max=10_000, help="Events of a user; may be repeated (default: 10 to 10,000)."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, help="Duration of a loop of lists in seconds.")] = 15.0,
    folder: Annotated[
        Path | None, typer.Option(help="Folder of the systems (default: `scale` in the state folder); it is kept.")
    ] = None,
    json: Json = False,
) -> None:
    """Measure growth: with the catalogue, the users, and a user's history; the baseline is the first size of each.

    Each catalogue has a system of its own, on the ports of the settings: run `reelstream down` first.
    """
    from bench import Commands, Plan, scale

    def publish(its: Settings, reset: bool) -> None:
        publish_run(its, None, lambda what, share: None, reset=reset, force=True)

    with one_line(), bar("starting") as tell:
        settings = load()
        plan = Plan(
            items or [4_000, 40_000, 400_000],
            users,
            events,
            state_users or [6_000, 100_000, 1_000_000],
            history,
            histories or [10, 100, 1_000, 10_000],
            seconds,
        )
        commands = Commands(publish, lambda its: held_out(its)[0])
        figures = scale(settings, (folder or settings.state / "scale").resolve(), plan, commands, tell)
    lines = [
        f"{size:,} items: trained in {of['train_s']:,.0f} s ({of['train_memory_mb']:,.0f} MiB), published in "
        f"{of['publish_s']:.0f} s, lists p50 {of['p50_ms']} ms, p99 {of['p99_ms']} ms, index recall "
        f"{of['index_recall']}, {of['events_per_s']:,} events/s"
        for size, of in figures["items"].items()
    ]
    for kind, name in (("users", "users"), ("history", "events of a user")):
        lines += [
            f"{size:,} {name}: {of['fold_us']} us for an event, read in {of['read_ms']} ms, "
            f"{of['redis_bytes_per_user']:,} bytes for a user"
            for size, of in figures[kind].items()
        ]
    report(json, figures, "\n".join(lines))
    if any(of["failed"] for of in figures["items"].values()):
        raise typer.Exit(1)
