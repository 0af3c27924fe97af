"""`reelstream demo`: everything, from nothing to a list that changes while events arrive."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import servers
from cli import background, lifecycle
from cli.console import bar, download_bar, one_line, out, stage_bars
from cli.models import publish_run
from cli.recommend import table_of
from cli.stream import call, held_out
from features import Event
from offline import download, runs
from offline.data import FILES
from settings import Settings, load
from stores import Log, Published, Unreachable, connect

RATE = 200
WITHIN = 10 * RATE
"""Events ahead among which the user is looked for whose list is shown: those of the next ten seconds."""

ADDRESSES = """
[bold]It is running.[/] The replay goes on in the background at {rate} events a second ({log}).

  a list        curl -X POST {api}/ml/rec -H 'Content-Type: application/json' -d '{{"userid": {userid}}}'
  a rating      .venv/bin/reelstream rate {userid} {itemid} 5
  a user        {api}/users/{userid}
  features      {feast}/get-online-features
  the proof     .venv/bin/reelstream verify
  the parts     .venv/bin/reelstream status
  a better model  .venv/bin/reelstream train && .venv/bin/reelstream publish

Stop it with [bold]make down[/]; the data stay."""


def demo() -> None:
    """Set up what is missing, start everything, train, publish, replay, and show a list before and after."""
    with one_line():
        settings = load()
        _have_ratings(settings)
        _start(settings)
        _have_run(settings)
        events, _ = held_out(settings)
        ahead = _ahead(settings, events)
        userid = Counter(event.userid for event in ahead[:WITHIN] or events).most_common(1)[0][0]
        before = _list(settings, userid)
        out.print(table_of(before, f"user {userid} before"))
        log = background.start(settings, "--rate", str(RATE))
        happened = _wait_for_events(settings, userid) if ahead else []
        for event in happened:
            out.print(f"event: user {userid} rated {event['title']} {event['rating']}", highlight=False)
        after = _list(settings, userid)
        out.print(table_of(after, f"user {userid} after", {item["itemid"] for item in before["item_list"]}))
        out.print(
            ADDRESSES.format(
                rate=RATE,
                log=log,
                api=f"http://{settings.api.host}:{settings.api.port}",
                feast=f"http://{settings.feast.host}:{settings.feast.port}",
                userid=userid,
                itemid=after["item_list"][0]["itemid"],
            ),
            highlight=False,
            soft_wrap=True,
        )


def _have_ratings(settings: Settings) -> None:
    if not all((settings.data_folder / name).is_file() for name in FILES):
        with download_bar() as tell:
            download.get(settings, tell)


def _start(settings: Settings) -> None:
    with lifecycle.progress() as tell:
        servers.up(settings, progress=tell)


def _have_run(settings: Settings) -> None:
    if not runs.names(settings):
        from offline.train import train

        with stage_bars() as tell:
            train(settings.quick(), tell)
    newest = runs.folder(settings).name
    live = Published(connect(settings.redis)).run()
    if live is None or live.run != newest:
        with bar("publishing") as tell:
            publish_run(settings, newest, tell)
    until = time.monotonic() + 30
    while call_ready(settings) != newest and time.monotonic() < until:
        time.sleep(0.2)


def call_ready(settings: Settings) -> str | None:
    """The run that the API answers with, None before it has one."""
    try:
        return str(call(settings, "POST", "/ml/rec", {"userid": 1, "size": 1})["run"])
    except Unreachable:
        return None


def _ahead(settings: Settings, events: list[Event]) -> list[Event]:
    """Events of the replay that the topic does not hold yet."""
    log = Log(settings.kafka)
    try:
        return events[sum(log.ends().values()) :]
    finally:
        log.close()


def _list(settings: Settings, userid: int) -> dict[str, Any]:
    return call(settings, "POST", "/ml/rec", {"userid": userid, "size": 10})


def _wait_for_events(settings: Settings, userid: int) -> list[dict[str, Any]]:
    """What the user rated since now, once there are some events; waits at most half a minute."""
    before: Any = call(settings, "GET", f"/users/{userid}")
    known = {event["itemid"] for event in before["recent"]}
    new: list[dict[str, Any]] = []
    until = time.monotonic() + 30
    while len(new) < 3 and time.monotonic() < until:
        time.sleep(0.2)
        now: Any = call(settings, "GET", f"/users/{userid}")
        new = [event for event in now["recent"] if event["itemid"] not in known]
    return new
