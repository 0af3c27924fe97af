"""`reelstream demo`: everything, from nothing to a list that changes while events arrive."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any

import servers
from cli import background
from cli.console import bar, download_bar, one_line, out, part_lines, stage_bars
from cli.models import publish_run
from cli.recommend import table_of
from cli.stream import call, held_out
from features import Event
from offline import runs
from offline.data import download, readers
from offline.errors import DataError
from settings import Settings, load
from stores import Log, Published, Unreachable, connect

RATE = 200
WITHIN = 10 * RATE
"""Events ahead among which the user is looked for whose list is shown: those of the next ten seconds."""

ADDRESSES = """
[bold]The system is running.[/] The replay continues in the background at {rate} events per second ({log}).

  a list          curl -X POST {api}/ml/rec -H 'Content-Type: application/json' -d '{{"userid": {userid}}}'
  a rating        .venv/bin/reelstream rate {userid} {itemid} 5
  a user          curl {api}/users/{userid}
  features        curl -X POST {feast}/get-online-features -H 'Content-Type: application/json' -d '{features}'
  the proof       .venv/bin/reelstream verify
  status          .venv/bin/reelstream status
  a better model  .venv/bin/reelstream train && .venv/bin/reelstream publish

Stop it with [bold]make down[/]; the data is kept."""


def demo() -> None:
    """Set up and start everything, train, publish, replay, and show a list before and after."""
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
        with bar(f"waiting for events of user {userid}"):
            happened = _wait_for_events(settings, userid) if ahead else []
        for event in happened:
            out.print(f"event: user {userid} rated {event['title']} {event['rating']}", highlight=False)
        after = _list(settings, userid)
        out.print(table_of(after, f"user {userid} after", {item["itemid"] for item in before["item_list"]}))
        itemid = after["item_list"][0]["itemid"]
        out.print(
            ADDRESSES.format(
                rate=RATE,
                log=log,
                api=f"http://{settings.api.host}:{settings.api.port}",
                feast=f"http://{settings.feast.host}:{settings.feast.port}",
                userid=userid,
                itemid=itemid,
                features=json.dumps({"feature_service": "ml_item", "entities": {"itemid": [itemid]}}),
            ),
            highlight=False,
            soft_wrap=True,
        )


def _have_ratings(settings: Settings) -> None:
    """Check the folder that is named or remembered, or download where none is, and remember it.

    A folder of other ratings than those of the newest run is not remembered: commands that work today continue working.

    Raises:
        DataError: the folder lacks a file, or holds other ratings than the newest run was trained on.
    """
    if settings.data_folder == settings.own_data_folder:
        with download_bar() as tell:
            download.get(settings, tell)
    readers.check_files(settings)
    if runs.names(settings):
        newest = runs.manifest(runs.folder(settings))
        if newest.data_hash != readers.data_hash(readers.load(settings)):
            raise DataError(
                f"run {newest.run} was trained on other ratings than {settings.data_folder} holds; give the run's own "
                "folder as ML1M_DIR, or a state folder of its own (REELSTREAM_STATE_DIR) to these ratings"
            )
    if settings.data_folder != settings.own_data_folder:
        settings.remember_data_folder()


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
    until = time.monotonic() + 30
    while call_ready(settings) != name and time.monotonic() < until:
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
    """Return what the user rates from now on, once there are some events; wait at most half a minute."""
    before: Any = call(settings, "GET", f"/users/{userid}")
    known = {event["itemid"] for event in before["recent"]}
    new: list[dict[str, Any]] = []
    until = time.monotonic() + 30
    while len(new) < 3 and time.monotonic() < until:
        time.sleep(0.2)
        now: Any = call(settings, "GET", f"/users/{userid}")
        new = [event for event in now["recent"] if event["itemid"] not in known]
    return new
