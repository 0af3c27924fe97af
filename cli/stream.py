"""`reelstream replay`, `rate`, `event` and `verify`."""

from __future__ import annotations

import dataclasses
import signal
import threading
from math import nan
from typing import Annotated, Any

import requests
import typer

from cli import background
from cli.console import bar, count_bar, one_line, out, report
from features import Event, EventError, Id, IdKind, Schema
from offline.data import readers
from offline.data.split import online_events, split
from producers import Pace, Recording, Report, scenario
from producers import replay as replay_all
from producers.replay import Acknowledged
from settings import Settings, SettingsError, bearer, load
from stores import StateStores, Unreachable, ensure_topics
from stores.kafka.log_probe import LogProbe
from stores.kafka.record import Mark, fingerprint

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def held_out(settings: Settings) -> tuple[list[Event], str]:
    """Return the held-out events in time order, and the name of their source."""
    return _held_out(settings, readers.load(settings))


def _held_out(settings: Settings, ratings: readers.Ratings) -> tuple[list[Event], str]:
    places = online_events(ratings, split(ratings, settings.data))
    return list(ratings.events(places)), readers.data_hash(ratings)[:12]


def replay(
    rate: Annotated[float | None, typer.Option(min=0.001, help="Events per second.")] = None,
    speed: Annotated[float | None, typer.Option(min=0.001, help="Multiple of the original speed.")] = None,
    maximum: Annotated[bool, typer.Option("--max", help="Send as fast as Kafka accepts.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after the first N events of the replay.")] = None,
    name: Annotated[
        str, typer.Option("--scenario", help="A reproducible change of the stream, for drift to detect.")
    ] = "none",
    begin: Annotated[
        int, typer.Option("--from", min=0, help="Index of the first event that the scenario changes.")
    ] = 0,
    json: Json = False,
) -> None:
    """Send the held-out events that the log lacks, as a live stream. Default: 200 events per second."""
    if sum((rate is not None, speed is not None, maximum)) > 1:
        raise typer.BadParameter("give one of --rate, --speed and --max")
    # Imported late, for `event` and others that do without PyArrow.
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
        schema, seed = ratings.schema, settings.train.seed
        events = scenario(name, schema, plain, ratings.catalogue.items, begin, seed)
        recording = Recording.of(source, schema, events).first(limit)
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
                acknowledged=noter(settings, schema),
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


def noter(settings: Settings, schema: Schema) -> Acknowledged:
    """A function that notes events that Kafka has acknowledged, so that their loss would be noticed.

    Raises:
        Unreachable: if Kafka does not answer.
    """
    ensure_topics(settings.kafka)
    probe = LogProbe(settings.kafka, settings.log_heads)
    probe.check({})
    probe.close()

    def acknowledged(event: Event, position: Any) -> None:
        mark = fingerprint(position.timestamp / 1000, *schema.events.encode(event))
        probe.note({position.partition: Mark(position.offset, mark)})

    return acknowledged


def rate(
    userid: Annotated[str, typer.Argument(help="The user who rates.")],
    itemid: Annotated[str, typer.Argument(help="The item that is rated.")],
    rating: Annotated[str, typer.Argument(help="The rating, on MovieLens 1 to 5.")],
    json: Json = False,
) -> None:
    """Rate an item through the API, and print the event's position in the log. Short for `event ... rating --value`."""
    send(userid, itemid, "rating", rating, json)


def event(
    userid: Annotated[str, typer.Argument(help="The user.")],
    itemid: Annotated[str, typer.Argument(help="The item.")],
    name: Annotated[str, typer.Argument(metavar="TYPE", help="The type of the event, such as view or purchase.")],
    value: Annotated[str | None, typer.Option("--value", help="Its value, for a type that has one.")] = None,
    json: Json = False,
) -> None:
    """Send an event of any type through the API, and print its position in the log."""
    send(userid, itemid, name, value, json)


def send(userid: str, itemid: str, name: str, value: str | None, json: bool) -> None:
    """Send an event, whose parts are words of a command, through the API."""
    with one_line():
        settings = load()
        schema = schema_of(settings)
        user, item = parse_id(schema.user_ids, userid, "userid"), parse_id(schema.item_ids, itemid, "itemid")
        try:
            made = schema.events.of(user, item, name, 0, number_of(value))
        except EventError as error:
            raise SettingsError(str(error)) from None
        fields = {field: given for field, given in schema.events.fields(made).items() if field != "ts"}
        position = call(settings, "POST", "/events", fields)
    report(json, position, f"appended to partition {position['partition']}, offset {position['offset']}")


def number_of(text: str | None) -> int | float | None:
    """The number that a word of a command is; one that is not is left to the rule for values."""
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return nan


def parse_id(kind: IdKind, text: str, name: str) -> Id:
    """An id from a word of a command.

    Raises:
        SettingsError: if it is none.
    """
    try:
        return kind.parse(text, name)
    except EventError as error:
        raise SettingsError(str(error)) from None


def schema_of(settings: Settings) -> Schema:
    """The schema of the published state.

    Raises:
        NotPublished: if nothing is published yet.
        Unreachable: if Redis does not answer.
    """
    return StateStores.live(settings).published.schema()


def verify(
    wait: Annotated[float, typer.Option(help="Seconds to wait for the stream to catch up.")] = 60.0,
    sample: Annotated[
        int, typer.Option(min=0, help="Number of users, and of items, to compare with a second, slow fold.")
    ] = 200,
    forgotten: Annotated[
        str | None, typer.Option(metavar="ID", help="Search every store and file for this user instead.")
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


def _search(text: str, json: bool) -> None:
    """Search every store and file for a user, and exit 1 if anything is found."""
    from lifecycle.forgotten import search

    with one_line(), bar("searching") as tell:
        settings = load()
        userid = parse_id(schema_of(settings).user_ids, text, "userid")
        hits = search(settings, userid, tell)
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
