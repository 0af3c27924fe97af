"""Changes of items under load: the time until a new item is in a list, and withdrawn ones that still are."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any
from urllib.parse import quote

import requests

from bench.hot_publish import percentiles
from bench.load import Load, Request, events_sent, failures
from bench.new_items import NewItems, words_of
from features import Id, Item, Schema, id_text
from settings import Settings, bearer
from stores import partition_of

KINDS = ("put", "put", "change", "withdraw")
"""Kinds of changes, in turn: of a new item, of one of the catalogue, and of a new one that was in a list."""

PROBE_S = 0.1
"""Seconds between two requests for the new items that were in no list yet."""

BASELINE_S = 10.0
"""Seconds of load before the first change."""

PATIENCE_S = 30.0
"""Seconds in which the last new items must be in a list."""

ASKING = 8
"""Lists of withdrawn items that are waited for at a time, while other items change."""


@dataclass
class Outcome:
    """The fate of the changes.

    Attributes:
        kinds: number of changes by kind.
        accepted_ms: time until a change was acknowledged.
        visible_ms: time from then on until a new item was in a list.
        waiting: new items that were in no list yet, with the second in which they were acknowledged.
        withdrawn: by withdrawn item and partition, the offset from which on it must not be in a list.
        shown: lists with a withdrawn item.
        failed: changes and requests that failed, by what they answered.
    """

    kinds: dict[str, int] = field(default_factory=dict)
    accepted_ms: list[float] = field(default_factory=list)
    visible_ms: list[float] = field(default_factory=list)
    waiting: dict[Id, float] = field(default_factory=dict)
    withdrawn: dict[Id, Mapping[int, int]] = field(default_factory=dict)
    shown: int = 0
    failed: dict[str, int] = field(default_factory=dict)

    def shows(self, request: Request) -> bool:
        """Tell whether a list has an item that was withdrawn in the state that it was made from."""
        if request.as_of is None:
            return False
        partition, offset = request.as_of
        withdrawn = (self.withdrawn[itemid] for itemid in request.itemids if itemid in self.withdrawn)
        return any(partition in positions and positions[partition] <= offset for positions in withdrawn)

    def fail(self, what: str) -> None:
        """Count a failure."""
        self.failed[what] = self.failed.get(what, 0) + 1


class Changer:
    """Changes items through the API, and watches for new ones in lists.

    Args:
        settings: where the API is.
        schema: of the data set.
        items: the catalogue.
        userids: whose lists are asked for.
        outcome: takes what becomes of the changes.
    """

    def __init__(
        self, settings: Settings, schema: Schema, items: Mapping[Id, Item], userids: Sequence[Id], outcome: Outcome
    ) -> None:
        self._url = f"http://{settings.api.host}:{settings.api.port}"
        self._settings, self._schema, self._items, self._userids = settings, schema, items, userids
        self._outcome, self._rng, self._turn = outcome, random.Random(7), 0
        self._new = NewItems(schema, items, self._rng)
        self._listed: deque[Id] = deque()
        self._changed: set[Id] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._session = self._connect()
        self._asking = ThreadPoolExecutor(max_workers=ASKING)
        self._asked: list[Future[None]] = []

    def _connect(self) -> requests.Session:
        session = requests.Session()
        session.headers.update(bearer(self._settings.api))
        return session

    def change(self, kind: str) -> None:
        """Make a change of a kind; in place of a withdrawal of nothing, an item is put."""
        with self._lock:
            withdrawn = self._listed.popleft() if kind == "withdraw" and self._listed else None
        if withdrawn is not None:
            self.withdraw(withdrawn)
        elif kind == "change":
            itemid, other = self._rng.sample(list(self._items), 2)
            self._changed.add(itemid)
            self._send("change", "PUT", itemid, words_of(self._schema, self._items[other]))
        else:
            itemid, words = self._new.make()
            if self._send("put", "PUT", itemid, words) is not None:
                with self._lock:
                    self._outcome.waiting[itemid] = time.perf_counter()

    def withdraw(self, itemid: Id) -> None:
        """Withdraw a new item, and ask for it as of the withdrawal."""
        positions = self._send("withdraw", "DELETE", itemid, None)
        if positions is None:
            return
        with self._lock:
            self._outcome.withdrawn[itemid] = positions
        userid, number = self._user(), self._new.numbers[itemid]
        partition = partition_of(userid, len(positions))
        after = {"partition": partition, "offset": positions[partition]}
        body = {"userid": userid, "filter": self._new.from_number(number, number), "after": after}
        self._asked.append(self._asking.submit(self._ask_once, body))

    def clean_up(self) -> None:
        """Withdraw all new items, and put those of the catalogue back as they were."""
        for itemid in self._new.numbers.keys() - self._outcome.withdrawn.keys():
            self._request("DELETE", itemid, None)
        for itemid in self._changed:
            self._request("PUT", itemid, words_of(self._schema, self._items[itemid]))

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Ask for the new items that were in no list yet, again and again; at the end, wait for the last of them."""
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield
            end = time.monotonic() + PATIENCE_S
            while self._outcome.waiting and time.monotonic() < end:
                time.sleep(PROBE_S)
        finally:
            self._stopping.set()
            thread.join()
            self._asking.shutdown()
        for asked in self._asked:
            asked.result()

    def _watch(self) -> None:
        session, due = self._connect(), time.monotonic()
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            due = max(due, time.monotonic() - PROBE_S) + PROBE_S
            with self._lock:
                waiting = [self._new.numbers[itemid] for itemid in self._outcome.waiting]
            if not waiting:
                continue
            body = {"userid": self._user(), "size": self._settings.api.max_size}
            request = self._ask(session, body | {"filter": self._new.from_number(min(waiting))})
            now = time.perf_counter()
            with self._lock:
                for itemid in {*request.itemids} & self._outcome.waiting.keys():
                    self._outcome.visible_ms.append(1000 * (now - self._outcome.waiting.pop(itemid)))
                    self._listed.append(itemid)

    def _ask_once(self, body: Mapping[str, object]) -> None:
        with self._connect() as session:
            self._ask(session, body)

    def _ask(self, session: requests.Session, body: Mapping[str, object]) -> Request:
        """Ask for a list, which must not have withdrawn items."""
        try:
            answer = session.post(f"{self._url}/ml/rec", json=body, timeout=30)
            request = Request.of(0.0, 0.0, answer.status_code, answer.json())
        except (requests.RequestException, ValueError) as error:
            request = Request(0.0, 0.0, 0, error=repr(error))
        with self._lock:
            if request.status != 200:
                self._outcome.fail(f"POST /ml/rec {request.status} {request.error}")
            self._outcome.shown += self._outcome.shows(request)
        return request

    def _send(self, kind: str, method: str, itemid: Id, words: Mapping[str, object] | None) -> dict[int, int] | None:
        """Make a change; the offset in each partition, None where it failed."""
        began = time.perf_counter()
        positions = self._request(method, itemid, words)
        if positions is not None:
            self._outcome.kinds[kind] = self._outcome.kinds.get(kind, 0) + 1
            self._outcome.accepted_ms.append(1000 * (time.perf_counter() - began))
        return positions

    def _request(self, method: str, itemid: Id, words: Mapping[str, object] | None) -> dict[int, int] | None:
        address = f"{self._url}/items/{quote(id_text(itemid), safe='')}"
        try:
            answer = self._session.request(method, address, json=words, timeout=30)
            body = answer.json()
        except (requests.RequestException, ValueError) as error:
            self._outcome.fail(f"{method} /items {error!r}")
            return None
        if answer.status_code != 202:
            self._outcome.fail(f"{method} /items {answer.status_code} {body.get('error', body)}")
            return None
        return {each["partition"]: each["offset"] for each in body["positions"]}

    def _user(self) -> Id:
        self._turn += 1
        return self._userids[self._turn % len(self._userids)]


def changes(
    settings: Settings,
    schema: Schema,
    items: Mapping[Id, Item],
    userids: Sequence[Id],
    number: int,
    progress: Callable[[str, float], None],
    *,
    per_s: float = 10.0,
    events_per_s: float = 200.0,
    requests_per_s: float = 20.0,
    halfway: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Change items at a steady rate under events and requests, of which half ask for new items.

    The catalogue is as before at the end; the events stay in the state.

    Args:
        settings: all settings.
        schema: of the data set.
        items: the catalogue.
        userids: whose lists are asked for, and who the events are of.
        number: of changes.
        progress: told of the share that is done.
        per_s: changes a second.
        events_per_s, requests_per_s: the load.
        halfway: called once half of the changes are made.

    Returns:
        Counts of changes by kind, of failures and of lists with withdrawn items; p50 and p99 of the time until a change
        is acknowledged and, from then on, until a new item is in a list; latency of requests before and meanwhile.
    """
    outcome = Outcome()
    changer = Changer(settings, schema, items, userids, outcome)
    load = Load(settings, userids, requests_per_s - 1 / PROBE_S)
    with events_sent(settings, schema, userids, list(items), events_per_s) as sent:
        load.start()
        progress("load without changes", 0.0)
        time.sleep(BASELINE_S)
        began = load.now()
        with changer.watching():
            for place in range(number):
                time.sleep(max(0.0, began + place / per_s - load.now()))
                if place == number // 2:
                    halfway()
                changer.change(KINDS[place % len(KINDS)])
                progress("changing items", (place + 1) / number)
        ended, events = load.now(), sent[0]
    answered = load.stop()
    progress("putting the catalogue back", 1.0)
    changer.clean_up()
    for failure, times in failures(answered).items():
        outcome.failed[failure] = outcome.failed.get(failure, 0) + times
    parts = {
        "before": [request for request in answered if request.began < began],
        "during": [request for request in answered if began <= request.began < ended],
    }
    figures: dict[str, Any] = {
        "changes": sum(outcome.kinds.values()),
        "kinds": outcome.kinds,
        "changes_per_s": round(number / (ended - began), 1),
        "events_per_s": round(events / ended, 1),
        "accepted_ms": _percentiles(outcome.accepted_ms),
        "visible_ms": _percentiles(outcome.visible_ms),
        "never_visible": len(outcome.waiting),
        "withdrawn_shown": outcome.shown + sum(map(outcome.shows, answered)),
        "failed": sum(outcome.failed.values()),
        "failures": outcome.failed,
        **{name: percentiles(part) for name, part in parts.items()},
    }
    figures["ratio_p99"] = round(figures["during"]["p99_ms"] / figures["before"]["p99_ms"], 2)
    return figures


def _percentiles(ms: Sequence[float]) -> dict[str, float]:
    cuts = quantiles(ms, n=100) if len(ms) > 1 else [float("nan")] * 99
    return {"n": len(ms), "p50": round(cuts[49], 1), "p99": round(cuts[98], 1)}
