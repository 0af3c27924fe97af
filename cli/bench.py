"""`reelstream bench`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from json import loads
from typing import Annotated, Any

import typer

import servers
from cli import bench_scale, bench_speed
from cli.bench_speed import held_out_userids
from cli.console import bar, one_line, report
from cli.models import publish_run
from cli.stream import held_out
from offline import runs
from offline.data import readers
from offline.data.split import split
from offline.errors import RunError
from settings import load

app = typer.Typer(help="Run benchmarks, each with its baseline in the same run.", no_args_is_help=True)

MOST_P99 = 2.0
"""Times the p99 without an attack that the p99 under one may be."""


@app.callback()
def benchmarks() -> None:
    """Run benchmarks, each with its baseline in the same run."""


app.command()(bench_speed.freshness)
app.command("latency")(bench_speed.latency_)
app.command("throughput")(bench_speed.throughput_)
app.command("start")(bench_speed.start_)
app.command("scale")(bench_scale.scale_)


@app.command()
def publish(
    run: Annotated[str | None, typer.Argument(help="The run to publish (default: the newest).")] = None,
    per_s: Annotated[float, typer.Option(min=1, help="Requests per second.")] = 50.0,
    seconds: Annotated[float, typer.Option(min=9, help="Duration of the load in seconds.")] = 60.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Publish a run under load; the baseline is the load before it."""
    from bench import hot_publish

    with one_line(), bar("publishing under load") as tell:
        settings = load()
        userids = held_out_userids(settings)

        def put_live() -> str:
            tell("publishing", 0.0)
            return publish_beside(run)

        figures = hot_publish(settings, userids, put_live, per_s=per_s, seconds=seconds)
    words = (
        f"{figures['requests']} requests, {figures['failed']} failed, {figures['mixed']} mixed; "
        f"p99 before {figures['before']['p99_ms']} ms, during {figures['during']['p99_ms']} ms, "
        f"ratio {figures['ratio_p99']}"
    )
    report(json, figures, words)
    if figures["failed"] or figures["mixed"]:
        raise typer.Exit(1)


MOST_FILTERED_P99 = 1.5
"""Largest ratio of the 99th percentile of lists with `filter` or `diversity` to that of plain ones."""

MOST_VISIBLE_MS = 2000.0
"""Milliseconds after which 99 of 100 new items must be in a list."""


@app.command("changes")
def changes_(
    number: Annotated[int, typer.Option("--changes", min=10, help="Number of item changes.")] = 2000,
    per_s: Annotated[float, typer.Option(min=0.1, help="Changes per second.")] = 10.0,
    events_per_s: Annotated[float, typer.Option(min=1, help="Events per second; they stay in the state.")] = 200.0,
    requests_per_s: Annotated[
        float, typer.Option(min=11, help="Requests per second, of which 10 look for new items.")
    ] = 20.0,
    kill: Annotated[bool, typer.Option("--kill", help="Kill a stream worker halfway.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Measure the time from a new item to a list that has it, under load; the baseline is the load without changes.

    The catalogue is put back as it was published.
    """
    from bench import changes
    from verify import verify

    with one_line(), bar("changing items") as tell:
        settings = load()
        ratings = readers.load(settings)
        figures = changes(
            settings,
            ratings.schema,
            ratings.catalogue.items,
            held_out_userids(settings),
            number,
            tell,
            per_s=per_s,
            events_per_s=events_per_s,
            requests_per_s=requests_per_s,
            halfway=(lambda: os.kill(servers.pid(settings, "worker-0"), signal.SIGKILL)) if kill else lambda: None,
        )
        tell("verifying", 1.0)
        figures["differences"] = verify(settings, wait_s=120.0, progress=lambda what, share: None).differences
    visible = figures["visible_ms"]
    words = (
        f"{figures['changes']:,} changes: new items in a list after p50 {visible['p50']} ms, p99 {visible['p99']} ms, "
        f"{figures['never_visible']} never; {figures['withdrawn_shown']} lists with withdrawn items, "
        f"{figures['failed']} failures, {figures['differences']} differences; requests p99 "
        f"{figures['before']['p99_ms']} ms before, {figures['during']['p99_ms']} ms meanwhile "
        f"(ratio {figures['ratio_p99']})"
    )
    report(json, figures, words)
    counts = ("never_visible", "withdrawn_shown", "failed", "differences")
    if any(figures[name] for name in counts) or not visible["p99"] <= MOST_VISIBLE_MS:
        raise typer.Exit(1)


@app.command("filters")
def filters_(
    rounds: Annotated[int, typer.Option(min=2, help="Number of lists of each kind.")] = 500,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Measure lists with `filter` and `diversity`, one at a time; the baseline are plain lists, asked for in turn."""
    from bench import filters

    with one_line(), bar("requesting lists") as tell:
        settings = load()
        ratings = readers.load(settings)
        figures = filters(settings, ratings.schema, ratings.catalogue.items, held_out_userids(settings), rounds, tell)
    words = "; ".join(
        f"{name}: p50 {of['p50_ms']} ms, p99 {of['p99_ms']} ms (ratio {of.get('ratio_p99', 1.0)}), "
        f"{of['short']} not full, {of['failed']} failed"
        for name, of in figures.items()
    )
    report(json, figures, words)
    if any(of["short"] or of["failed"] or of.get("ratio_p99", 1.0) > MOST_FILTERED_P99 for of in figures.values()):
        raise typer.Exit(1)


@app.command("attacks")
def attacks_(
    per_s: Annotated[float, typer.Option(min=1, help="Requests per second.")] = 20.0,
    seconds: Annotated[float, typer.Option(min=1, max=120, help="Duration of each attack in seconds.")] = 20.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Attack the API of this machine under load; the baseline is the time between the attacks."""
    from bench import attacks
    from bench.attacker import KINDS

    with one_line(), bar("requesting lists") as tell:
        settings = load()
        figures = attacks(settings, held_out_userids(settings), per_s=per_s, seconds=seconds, progress=tell)
    words = "; ".join(
        f"{name}: p99 {figures[name]['p99_ms']} ms (ratio {figures[name].get('ratio_p99', 1.0)}), "
        f"{figures[name]['failed']} failed"
        for name in ("quiet", *KINDS)
    )
    report(json, figures, words)
    if any(figures[kind]["failed"] or figures[kind]["ratio_p99"] > MOST_P99 for kind in KINDS):
        raise typer.Exit(1)


@app.command("memory")
def memory_(
    users: Annotated[int, typer.Option(min=100, help="Users who arrive in the simulated year.")] = 10_000,
    inactive_days: Annotated[float, typer.Option(min=1, help="Days without an event until a user is evicted.")] = 30.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Measure Redis's memory over a simulated year, with evictions of inactive users and without them (baseline)."""
    from bench import memory

    with one_line(), bar("folding a year") as tell:
        figures = memory(load(), users, inactive_days, tell)
    words = (
        f"after a year of {figures['users']:,} users and {figures['events']:,} events: "
        f"{figures['with']['mib'][-1]} MiB with evictions after {figures['inactive_days']:g} days, "
        f"{figures['without']['mib'][-1]} MiB without (ratio {figures['ratio']}); "
        f"{figures['evicted']:,} users evicted, {figures['differing_users']} differ"
    )
    report(json, figures, words)
    if figures["differing_users"]:
        raise typer.Exit(1)


def publish_beside(run: str | None) -> str:
    """Publish in a process of its own, as a person would: in this one it would hold up the requests; the run's id.

    Raises:
        RunError: it failed; with what it said.
    """
    return str(command_beside("publish", *([run] if run else []), "--force")["run"])


def command_beside(*words: str) -> dict[str, Any]:
    """Run a command of reelstream in a process of its own; its report.

    Raises:
        RunError: it failed; with what it said.
    """
    command = [sys.executable, "-m", "cli", *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunError(" ".join(done.stderr.split()) or f"`reelstream {words[0]}` exited with {done.returncode}")
    found: dict[str, Any] = loads(done.stdout)
    return found


@app.command("rebuild")
def rebuild_(
    events: Annotated[int, typer.Option(min=1000, help="Events in the log.")] = 1_000_000,
    reset: Annotated[
        bool, typer.Option("--reset", help="Required: the log, the archive and the live state are deleted.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Measure a rebuild after a loss of Redis's data; baselines: a fold in memory, and the workers' catch-up."""
    from bench import rebuild_time

    with one_line(), bar("rebuilding") as tell:
        if not reset:
            raise RunError("this deletes the log and the live state; run it with --reset on a system for measurements")
        settings = load()

        def begin_anew() -> None:
            publish_run(settings, None, lambda what, share: None, reset=True, force=True)

        figures = rebuild_time(settings, events, begin_anew, command_beside, tell)
    words = (
        f"{figures['events']:,} events rebuilt in {figures['rebuild_s']} s, of which no worker could fold for "
        f"{figures['closed_s']} s; in memory alone {figures['fold_s']} s (ratio {figures['ratio_to_fold']}), workers "
        f"{figures['catch_up_s']} s (ratio {figures['ratio_to_catch_up']}); {figures['differences']} differences, "
        f"{figures['missing_of_those']} of {figures['rated_through_api']} ratings through the API missing"
    )
    report(json, figures, words)
    if figures["differences"] or figures["missing_of_those"]:
        raise typer.Exit(1)


@app.command()
def drift(
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Number of streams; no two share a user.")] = 20,
    reset: Annotated[
        bool,
        typer.Option("--reset", help="Also measure cost and delay on the running system; this deletes its live state."),
    ] = False,
    rounds: Annotated[int, typer.Option(min=1, help="Number of catch-ups with drift monitoring off and on.")] = 2,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Measure false alarms, detection delays, and the cost of drift monitoring."""
    from bench import Blocks, Sample, detection, drift_cost, false_alarms
    from drift import Reference, Series
    from features.columns import ItemTable
    from offline.data.arrivals import Before, expected
    from offline.train.reference import read_scores, require_same_users
    from producers import Recording
    from stream.drift.counting import plan_of

    with one_line(), bar("reading the history") as tell:
        settings = load()
        ratings = readers.load(settings)
        folder, parts, seed = runs.folder(settings), split(ratings, settings.data), settings.train.seed
        require_same_users(folder, ratings)
        series = Series(ratings.schema)
        reference = Reference.from_json(series, loads((folder / runs.REFERENCE).read_text()))
        arrivals, (place, scores) = expected(ratings, parts, seed), read_scores(folder / runs.SCORED)
        before = Before(ratings, arrivals, arrivals)
        blocks = Blocks(ratings, parts, arrivals, seed, before)
        plan, items = plan_of(settings.drift), ratings.catalogue.items
        liked, rows = ratings.positive, before.rows(ItemTable(ratings.schema, items))
        sample = Sample(arrivals.block, rows, liked[arrivals.place], scores, liked[place])
        found = false_alarms(series, sample, plan, settings.drift.scored_per_s, seed, tell)
        figures = {"false_alarms": found, **detection(blocks, ratings.schema, items, reference, plan, seeds, tell)}
        cost: dict[str, Any] = {"throughput_ratio": None}
        if reset:
            events, _ = held_out(settings)

            def begin_anew() -> None:
                publish_run(settings, None, lambda what, share: None, reset=True, force=True)

            cost = drift_cost(settings, Recording("bench", ratings.schema, events), rounds, begin_anew, tell)
    late = [of["median_delay_events"] for of in figures["scenarios"].values() if of["detected"]]
    a_week = ", ".join(f"{of['all_per_week']:.2g} at {rate} events/s" for rate, of in found["rates"].items())
    words = (
        f"false alarms per week: {a_week} (budget {found['budget_per_week']:g}); "
        f"{sum(of['detected'] for of in figures['scenarios'].values())} of {seeds * len(figures['scenarios'])} changes "
        f"detected, median delays up to {max(late, default=0):.0f} events; "
        f"throughput with drift {cost['throughput_ratio'] or 'not measured (--reset)'}"
    )
    report(json, figures | cost, words)
