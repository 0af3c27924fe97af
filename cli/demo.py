"""`reelstream demo`: everything, from nothing to a list that changes while events arrive."""

from __future__ import annotations

import json
import shlex
import time
from collections import Counter
from typing import Any
from urllib.parse import quote

import servers
from cli import background
from cli.console import bar, download_bar, one_line, out, part_lines, stage_bars
from cli.models import publish_run
from cli.recommend import table_of
from cli.stream import call, held_out, schema_of
from features import Codes, Event, Id, id_text
from offline import runs
from offline.data import download, generate_shop, readers
from offline.errors import DataError
from settings import Settings, load
from stores import Log, Published, Unreachable, connect

RATE = 200
WITHIN = 10 * RATE
"""Events ahead among which the user is looked for whose list is shown: those of the next ten seconds."""

ADDRESSES = """
[bold]The system is running.[/] The replay continues in the background at {rate} events per second ({log}).

  a list          curl -X POST {api}/ml/rec -H 'Content-Type: application/json' -d {request}
  {name:<14}  .venv/bin/reelstream {event}
  a user          curl {api}/users/{user}
  features        curl -X POST {feast}/get-online-features -H 'Content-Type: application/json' -d {features}
  the proof       .venv/bin/reelstream verify
  status          .venv/bin/reelstream status
  a better model  .venv/bin/reelstream train && .venv/bin/reelstream publish

Stop it with [bold]make down[/]; the data is kept."""


def demo() -> None:
    """Set up and start everything, train, publish, replay, and show a list before and after."""
    with one_line():
        settings = load()
        _have_data(settings)
        _start(settings)
        _have_run(settings)
        schema = schema_of(settings)
        events, _ = held_out(settings)
        ahead = _ahead(settings, events)
        userid = Counter(event.userid for event in ahead[:WITHIN] or events).most_common(1)[0][0]
        _wait_for_run(settings, userid)
        before = _list(settings, userid)
        out.print(table_of(schema, before, f"user {userid} before"))
        log = background.start(settings, "--rate", str(RATE))
        with bar(f"waiting for events of user {userid}"):
            happened = _wait_for_events(settings, userid) if ahead else []
        for event in happened:
            what = event.get("title") or event["itemid"]
            out.print(f"event: user {userid}: {_said(event)}, {what}", highlight=False, markup=False)
        after = _list(settings, userid)
        out.print(table_of(schema, after, f"user {userid} after", {item["itemid"] for item in before["item_list"]}))
        itemid = after["item_list"][0]["itemid"]
        name, command = event_command(schema.codes, userid, itemid)
        out.print(
            ADDRESSES.format(
                rate=RATE,
                log=log,
                api=f"http://{settings.api.host}:{settings.api.port}",
                feast=f"http://{settings.feast.host}:{settings.feast.port}",
                request=shlex.quote(json.dumps({"userid": userid})),
                user=quote(id_text(userid), safe=""),
                name=name,
                event=command,
                features=shlex.quote(json.dumps({"feature_service": "ml_item", "entities": {"itemid": [itemid]}})),
            ),
            highlight=False,
            markup=True,
            soft_wrap=True,
        )


def event_command(codes: Codes, userid: Id, itemid: Id) -> tuple[str, str]:
    """(what it is, the command) of the event that says most for an item, as one would type it.

    >>> from features.dataset import Feedback, Condition
    >>> codes = Codes({"view": Feedback(), "purchase": Feedback(positive=Condition("always"))})
    >>> event_command(codes, "u 7", "i1")
    ('a purchase', "event 'u 7' i1 purchase")
    """
    best = max(range(1, codes.size), key=lambda code: (codes.positive[code], codes.levels[code]))
    kind, value = codes.type(best), codes.value(best)
    ids = " ".join(shlex.quote(id_text(id_)) for id_ in (userid, itemid))
    article = "an" if kind[0] in "aeiou" else "a"
    said = f"{article} {kind.replace('_', ' ')}"
    if value is None:
        return said, f"event {ids} {kind}"
    return said, f"rate {ids} {value:g}" if kind == "rating" else f"event {ids} {kind} --value {value:g}"


def _said(event: dict[str, Any]) -> str:
    """An event in words, from its fields as the API answers with them.

    >>> _said({"itemid": 7, "title": "Heat", "rating": 4, "ts": 1}), _said({"itemid": "i7", "event": "view", "ts": 1})
    ('rating 4', 'view')
    """
    fields = {name: value for name, value in event.items() if name not in ("itemid", "title", "ts")}
    return " ".join(f"{value}" if name in ("event", "value") else f"{name} {value}" for name, value in fields.items())


def _have_data(settings: Settings) -> None:
    """Check the folder that is named or remembered, or get the data where none is, and remember both.

    A folder of other data than that of the newest run is not remembered: commands that work today continue working.

    Raises:
        DataError: the folder lacks a file, or holds other data than the newest run was trained on.
    """
    if settings.data_folder == settings.own_data_folder:
        _get_data(settings)
    readers.check_files(settings)
    if runs.names(settings):
        newest = runs.manifest(runs.folder(settings))
        if newest.data_hash != readers.data_hash(readers.load(settings)):
            raise DataError(
                f"run {newest.run} was trained on other ratings than {settings.data_folder} holds; give the run's own "
                "data set and folder, or a state folder of its own (REELSTREAM_STATE_DIR) to this data"
            )
    settings.remember_data()


def _get_data(settings: Settings) -> None:
    """Download MovieLens-1M, or generate the shop, into our own data folder, unless it is there."""
    paths = readers.description(settings).paths
    if paths == readers.FILES:
        with download_bar() as tell:
            download.get(settings, tell)
    elif paths == generate_shop.FILES and not readers.has_files(settings):
        with bar("generating a shop"):
            generate_shop.make(settings.data_folder, *generate_shop.USUAL, settings.train.seed)


def _start(settings: Settings) -> None:
    with part_lines() as tell:
        servers.up(settings, progress=tell)


def _have_run(settings: Settings) -> None:
    if not runs.names(settings):
        from offline.train.pipeline import train

        with stage_bars("training a quick model") as tell:
            train(settings.quick(), tell)
    live = Published(connect(settings.redis)).run()
    # A run that is live stays: a newer one may be worse, and is the user's to publish.
    name = runs.folder(settings).name if live is None else live.run
    if live is None:
        with bar("publishing") as tell:
            publish_run(settings, name, tell)


def _wait_for_run(settings: Settings, userid: Id) -> None:
    """Wait until the API answers with the live run, at most half a minute."""
    live = Published(connect(settings.redis)).run()
    until = time.monotonic() + 30
    while live is not None and call_ready(settings, userid) != live.run and time.monotonic() < until:
        time.sleep(0.2)


def call_ready(settings: Settings, userid: Id) -> str | None:
    """The run that the API answers with, None before it has one."""
    try:
        return str(call(settings, "POST", "/ml/rec", {"userid": userid, "size": 1})["run"])
    except Unreachable:
        return None


def _ahead(settings: Settings, events: list[Event]) -> list[Event]:
    """Events of the replay that the topic does not hold yet."""
    log = Log(settings.kafka)
    try:
        return events[sum(log.ends().values()) :]
    finally:
        log.close()


def _list(settings: Settings, userid: Id) -> dict[str, Any]:
    return call(settings, "POST", "/ml/rec", {"userid": userid, "size": 10})


def _wait_for_events(settings: Settings, userid: Id) -> list[dict[str, Any]]:
    """Return the events of the user from now on, once there are some; wait at most half a minute."""
    path = f"/users/{quote(id_text(userid), safe='')}"
    before: Any = call(settings, "GET", path)
    new: list[dict[str, Any]] = []
    until = time.monotonic() + 30
    while len(new) < 3 and time.monotonic() < until:
        time.sleep(0.2)
        now: Any = call(settings, "GET", path)
        new = [event for event in now["recent"] if event not in before["recent"]]
    return new
