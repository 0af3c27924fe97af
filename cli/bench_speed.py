"""`reelstream bench freshness`, `latency`, `throughput` and `start`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.console import bar, one_line, report
from cli.models import publish_run
from cli.stream import held_out
from features import Id, ascending
from offline.data import readers
from offline.errors import RunError
from settings import Settings, load


def freshness(
    rounds: Annotated[
        int, typer.Option(min=2, help="Rounds at each load. Each sends two events, which stay in the state.")
    ] = 100,
    events_per_s: Annotated[
        list[float] | None, typer.Option(min=0, help="Other events per second, which stay too; may be repeated.")
    ] = None,
    requests_per_s: Annotated[
        list[float] | None, typer.Option(min=0, help="Other requests per second; may be repeated.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Measure the time from an event to a list that reflects it; the baseline is a list without an event.

    Each rate of events is measured with each rate of requests; without options, nothing else goes on.
    """
    from bench import Level
    from bench import freshness as measure

    levels = [Level(events, requests) for events in events_per_s or [0.0] for requests in requests_per_s or [0.0]]
    with one_line(), bar("sending events and requesting lists") as tell:
        settings = load()
        ratings = readers.load(settings)
        userids, items = held_out_userids(settings), list(ratings.catalogue.items)
        found = [
            {"events_per_s": level.events_per_s, "requests_per_s": level.requests_per_s}
            | measure(settings, ratings.schema, userids, items, rounds, level, tell).figures()
            for level in levels
        ]
    words = "\n".join(
        f"{of['events_per_s']:g} events/s, {of['requests_per_s']:g} requests/s: "
        f"event to new list p50 {of['total_ms']['p50']} ms, p99 {of['total_ms']['p99']} ms; "
        f"from a producer p50 {of['send_ms']['p50']} ms, p99 {of['send_ms']['p99']} ms; "
        f"a list alone p50 {of['baseline_ms']['p50']} ms; "
        f"{of['stale']} of {2 * of['rounds']} stale, {of['failed']} failed"
        for of in found
    )
    report(json, {"levels": found}, words)
    if any(of["stale"] or of["failed"] for of in found):
        raise typer.Exit(1)


def latency_(
    seconds: Annotated[float, typer.Option(min=1, help="Duration of each loop in seconds.")] = 15.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Measure lists one after the other and at rising rates; the baseline is the tutorial's way of serving."""
    from bench import latency

    with one_line(), bar("requesting lists") as tell:
        settings = load()
        figures = latency(settings, held_out_userids(settings), seconds, tell)
    lines = [
        f"{clients} clients: {of['per_s']} lists/s, p50 {of['p50_ms']} ms, p99 {of['p99_ms']} ms; the tutorial's way "
        f"{figures['tutorial'][clients]['per_s']} lists/s, p50 {figures['tutorial'][clients]['p50_ms']} ms"
        for clients, of in figures["closed"].items()
    ]
    lines.append(
        f"up to {figures['most_per_s']} requests/s with p99 within 100 ms; {figures['ratio']['per_s']} times as many "
        f"lists/s as the tutorial's way, and {figures['ratio']['p50']} times as fast at the median"
    )
    report(json, figures, "\n".join(lines))
    if any(of["failed"] for name in ("closed", "tutorial") for of in figures[name].values()):
        raise typer.Exit(1)


def throughput_(
    workers: Annotated[
        list[int] | None, typer.Option(min=1, max=16, help="Number of workers; may be repeated (default: 1 and 2).")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Catch-ups of each kind; the median counts.")] = 3,
    reset: Annotated[
        bool, typer.Option("--reset", help="Required: the log, the archive and the live state are deleted.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Measure how fast workers catch up with a full log; the baseline is the first number of workers without drift.

    The log holds the held-out events. After each catch-up, `verify` compares everything.
    """
    from bench import throughput
    from producers import Recording

    with one_line(), bar("catching up") as tell:
        if not reset:
            raise RunError("this deletes the log and the live state; run it with --reset on a system for measurements")
        settings = load()
        events, _ = held_out(settings)

        def begin_anew() -> None:
            publish_run(settings, None, lambda what, share: None, reset=True, force=True)

        recording = Recording("bench", readers.load(settings).schema, events)
        figures = throughput(settings, recording, workers or [1, 2], rounds, begin_anew, tell)
    words = "\n".join(
        f"{name}: {of['events_per_s']:,} events/s (ratio {of['ratio']}), {of['cpu_us_per_event']} us of processor time "
        f"for an event"
        for name, of in figures["kinds"].items()
    )
    report(json, figures, f"{words}\n{figures['differences']} differences")
    if figures["differences"]:
        raise typer.Exit(1)


def start_(
    events_per_s: Annotated[
        float, typer.Option(min=1, help="Events per second while a worker ends; they stay.")
    ] = 1000.0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")] = 3,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Measure how long everything takes to start, and a killed worker to catch up; the baseline is one restarted."""
    from bench import start

    with one_line(), bar("starting") as tell:
        settings = load()
        ratings = readers.load(settings)
        userids, items = held_out_userids(settings), list(ratings.catalogue.items)
        figures = start(settings, ratings.schema, userids, items, events_per_s, rounds, tell)
    words = [f"everything healthy after {figures['up']['all']} s"]
    for way in ("killed", "restarted"):
        words.append(
            f"a worker that was {way} at {events_per_s:g} events/s folded again after {figures[way]['first_s']} s, and "
            f"had caught up after {figures[way]['caught_up_s']} s"
        )
    report(json, figures, "\n".join(words))


def held_out_userids(settings: Settings) -> list[Id]:
    """The users whose last events are held out, in ascending order."""
    events, _ = held_out(settings)
    return ascending({event.userid for event in events})
