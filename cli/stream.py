"""`reelstream replay`, `rate` and `verify`."""

from __future__ import annotations

import dataclasses
import signal
import threading
from typing import Annotated, Any

import requests
import typer

from cli import background
from cli.console import bar, count_bar, one_line, out, report
from features import Event, encode
from features.event import MAX_ID
from offline.data import readers
from offline.data.split import online_events, split
from producers import Pace, Recording, Report, ScenarioName, scenario
from producers import replay as replay_all
from producers.replay import Acknowledged
from settings import Settings, SettingsError, bearer, load
from stores import Unreachable, ensure_topics
from stores.kafka.log_probe import LogProbe
from stores.kafka.record import Mark, fingerprint

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def held_out(settings: Settings) -> tuple[list[Event], str]:
    """Return the held-out events in time order, and the name of their source."""
    return _held_out(settings, readers.load(settings))


def _held_out(settings: Settings, ratings: readers.Ratings) -> tuple[list[Event], str]:
    places = online_events(ratings, split(ratings, settings.data))
    columns = (ratings.userid, ratings.itemid, ratings.rating, ratings.ts)
    events = [Event(*fields) for fields in zip(*(column[places].tolist() for column in columns), strict=True)]
    return events, readers.data_hash(ratings)[:12]


def replay(
    rate: Annotated[float | None, typer.Option(min=0.001, help="Events per second.")] = None,
    speed: Annotated[float | None, typer.Option(min=0.001, help="Multiple of the original speed.")] = None,
    maximum: Annotated[bool, typer.Option("--max", help="Send as fast as Kafka accepts.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after the first N events of the replay.")] = None,
    name: Annotated[
        ScenarioName, typer.Option("--scenario", help="A reproducible change of the stream, for drift to detect.")
    ] = "none",
    begin: Annotated[
        int, typer.Option("--from", min=0, help="Index of the first event that the scenario changes.")
    ] = 0,
    json: Json = False,
) -> None:
    """Send the held-out ratings that the log lacks, as a live stream. Default: 200 events per second."""
    if sum((rate is not None, speed is not None, maximum)) > 1:
        raise typer.BadParameter("give one of --rate, --speed and --max")
    # Imported late, for `rate` and others that do without PyArrow.
    from stores.archive.whole_log import WholeLog

    pace = Pace.MAX if maximum else Pace.SPEED if speed is not None else Pace.RATE
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    with one_line():
        settings = load()
        if name.startswith("broken-"):
            require_spoiling(settings)
        ratings = readers.load(settings)
        plain, source = _held_out(settings, ratings)
        events = scenario(name, plain, ratings.catalogue.items, begin, settings.train.seed)
        recording = Recording.of(source, events).first(limit)
        with background.alone(settings), count_bar("replay", len(recording.events)) as count:

            def tell(so_far: Report) -> None:
                per_s = so_far.sent / so_far.seconds if so_far.seconds else 0.0
                text = f"replay, {per_s:,.0f} events/s, {so_far.failed} delivery errors"
                count(text, so_far.present + so_far.sent)

            done = replay_all(
                settings.kafka,
                recording,
                pace=pace,
                value=rate or speed or 200.0,
                stopping=stopping,
                progress=tell,
                acknowledged=noter(settings),
                open_log=lambda: WholeLog(settings),
            )
    there = f", {done.present:,} were in the topic already" if done.present else ""
    report(json, dataclasses.asdict(done), f"{done.sent:,} events sent in {done.seconds:.1f} s{there}")


def require_spoiling(settings: Settings) -> None:
    """Refuse a scenario of a broken feature that the running worker would ignore; warn where none is running.

    Raises:
        SettingsError: if the worker does not look at the header `broken`.
    """
    host = "127.0.0.1" if settings.stream.host in ("0.0.0.0", "::") else settings.stream.host  # nosec B104: not bound to
    address = f"http://{f'[{host}]' if ':' in host else host}:{settings.stream.metrics_port}/health"
    try:
        spoils = requests.get(address, timeout=5).json()["spoils_features"]
    except (requests.RequestException, ValueError, KeyError, TypeError):
        text = (
            f"no stream worker answers at {address}; the scenario has an effect with drift.spoil_features = true alone"
        )
        typer.echo(text, err=True)
        return
    if not spoils:
        raise SettingsError(
            "the running stream worker ignores the header `broken`, so this scenario would change nothing; set "
            "drift.spoil_features = true and restart the workers (`reelstream down`, `reelstream up`)"
        )


def noter(settings: Settings) -> Acknowledged:
    """A function that notes events that Kafka has acknowledged, so that their loss would be noticed.

    Raises:
        Unreachable: if Kafka does not answer.
    """
    ensure_topics(settings.kafka)
    probe = LogProbe(settings.kafka, settings.log_heads)
    probe.check({})
    probe.close()

    def acknowledged(event: Event, position: Any) -> None:
        mark = fingerprint(position.timestamp / 1000, *encode(event))
        probe.note({position.partition: Mark(position.offset, mark)})

    return acknowledged


def rate(
    userid: Annotated[int, typer.Argument(help="The user who rates.")],
    itemid: Annotated[int, typer.Argument(help="The item that is rated.")],
    rating: Annotated[int, typer.Argument(help="The rating, 1 to 5.")],
    json: Json = False,
) -> None:
    """Rate an item through the API, and print the event's position in the log."""
    with one_line():
        position = call(load(), "POST", "/ratings", {"userid": userid, "itemid": itemid, "rating": rating})
    report(json, position, f"appended to partition {position['partition']}, offset {position['offset']}")


def verify(
    wait: Annotated[float, typer.Option(help="Seconds to wait for the stream to catch up.")] = 60.0,
    sample: Annotated[
        int, typer.Option(min=0, help="Number of users, and of items, to compare with a second, slow fold.")
    ] = 200,
    forgotten: Annotated[
        int | None,
        typer.Option(metavar="ID", min=1, max=MAX_ID, help="Search every store and file for this user instead."),
    ] = None,
    json: Json = False,
) -> None:
    """Fold the whole log again and compare it with all stored data, even while events arrive; exit 1 on a mismatch.

    With --forgotten, search for a user who was erased; exit 1 if anything is found.
    """
    if forgotten is not None:
        _search(forgotten, json)
        return
    from verify import verify as verify_all

    with one_line(), bar("folding the archive") as tell:
        found = verify_all(load(), wait_s=wait, sample=sample, progress=tell)
    compared = (
        f"{found.profiles:,} profiles, {found.items:,} items, {found.feature_rows:,} feature rows and "
        f"{found.documents:,} documents compared, {found.sampled:,} of them with a second fold"
    )
    words = f"{compared}, after {found.events:,} events: {found.differences} differences"
    report(json, found.as_json(), words)
    if found.differences:
        if not json:
            for name, difference in list(found.differing.items())[:5]:
                out.print(f"{name}: {difference}", highlight=False)
        raise typer.Exit(1)


def _search(userid: int, json: bool) -> None:
    """Search every store and file for a user, and exit 1 if anything is found."""
    from lifecycle.forgotten import search

    with one_line(), bar("searching") as tell:
        hits = search(load(), userid, tell)
    figures = {"userid": userid, "hits": [{"store": hit.store, "place": hit.place} for hit in hits]}
    report(json, figures, f"user {userid}: {len(hits)} hit{'' if len(hits) == 1 else 's'}")
    if hits:
        if not json:
            for hit in hits:
                out.print(f"{hit.store}: {hit.place}", highlight=False, soft_wrap=True)
        raise typer.Exit(1)


def call(settings: Settings, method: str, path: str, body: object = None) -> dict[str, object]:
    """Ask the API.

    Raises:
        Unreachable: if it does not answer, or answers with an error.
    """
    address = f"http://{settings.api.host}:{settings.api.port}{path}"
    try:
        answer = requests.request(method, address, json=body, headers=bearer(settings.api), timeout=30)
        fields: dict[str, object] = answer.json()
    except (requests.RequestException, ValueError) as error:
        kind = type(error).__name__
        raise Unreachable(f"the API at {address} does not answer ({kind}); start it with `reelstream up`") from None
    if not answer.ok:
        raise Unreachable(str(fields.get("error", answer.reason)))
    return fields
