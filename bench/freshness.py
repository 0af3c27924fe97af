"""The time from an event to a list that reflects it, under other events and requests.

An event reaches the log through `POST /events`, timed from before the request, or through a producer, timed from before
its `send`; then `POST /ml/rec` with `after` answers once the event is folded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

import requests
from kafka import KafkaProducer

from bench.load import Load, events_sent, failures
from features import Codes, Event, Id, Schema
from settings import ReelstreamError, Settings, bearer
from stores import Unreachable, partition_of, producer

WARM_UP = 10

MEASURED = 50
"""Users whose events are timed; the load is of others."""

STEPS = ("rate_ms", "rec_ms", "total_ms", "send_ms", "baseline_ms")


@dataclass(frozen=True)
class Level:
    """The load beside the timed events, a second."""

    events_per_s: float = 0.0
    requests_per_s: float = 0.0


@dataclass
class Freshness:
    """Milliseconds of each step, one entry for each round.

    Attributes:
        rate_ms: `POST /events`, until Kafka has the event.
        rec_ms: `POST /ml/rec` with `after`, until the new list is there.
        total_ms: both.
        send_ms: from a producer's `send` until the new list is there.
        baseline_ms: `POST /ml/rec` alone, just before.
        stale: events after which the item was still in the list, the state older than the event, or the list the same.
        failed: failed requests of the load, by message.
    """

    rate_ms: list[float] = field(default_factory=list)
    rec_ms: list[float] = field(default_factory=list)
    total_ms: list[float] = field(default_factory=list)
    send_ms: list[float] = field(default_factory=list)
    baseline_ms: list[float] = field(default_factory=list)
    stale: int = 0
    failed: dict[str, int] = field(default_factory=dict)

    def figures(self) -> dict[str, Any]:
        """Percentiles of each step, and the ratio of `total_ms` to the baseline."""
        figures: dict[str, Any] = {}
        for name in STEPS:
            cuts = quantiles(getattr(self, name), n=100)
            figures[name] = {f"p{share}": round(cuts[share - 1], 2) for share in (50, 90, 99)}
        figures["ratio_to_baseline"] = round(median(self.total_ms) / median(self.baseline_ms), 2)
        return figures | {"rounds": len(self.total_ms), "stale": self.stale, "failed": sum(self.failed.values())}


def code_to_send(codes: Codes) -> int:
    """The event that is sent: of those that hide the item the last, which is positive on MovieLens and in a shop.

    Raises:
        ReelstreamError: if no event hides the item, so that a list need not change.
    """
    hiding = [code for code in range(1, codes.size) if codes.hides[code]]
    if not hiding:
        raise ReelstreamError(
            "no event of this data set hides its item, so that a new list cannot be told from the old"
        )
    return hiding[-1]


def freshness(
    settings: Settings,
    schema: Schema,
    userids: Sequence[Id],
    items: Sequence[Id],
    rounds: int,
    level: Level,
    progress: Callable[[str, float], None],
) -> Freshness:
    """Send an event with the first item of a user's list and ask for the list again, twice in each of `rounds`.

    Args:
        settings: all settings.
        schema: of the data set.
        userids: whose events are timed, and who the load is of.
        items: of the load's events.
        rounds: how many are timed.
        level: the load.
        progress: told of the share that is done.

    Raises:
        Unreachable: if the API or Kafka does not answer.
    """
    result = Freshness()
    others = userids[MEASURED:] or userids
    with ExitStack() as running:
        running.enter_context(events_sent(settings, schema, others, items, level.events_per_s))
        timer = running.enter_context(closing(_Timer(settings, schema, result)))
        load = Load(settings, others, level.requests_per_s) if level.requests_per_s else None
        if load:
            load.start()
        try:
            for number in range(WARM_UP + rounds):
                timer.round(userids[number % MEASURED], counts=number >= WARM_UP)
                progress("sending events and requesting lists", (number + 1) / (WARM_UP + rounds))
        finally:
            if load:
                result.failed = failures(load.stop())
    return result


class _Timer:
    """Times events and lists of one user at a time."""

    def __init__(self, settings: Settings, schema: Schema, result: Freshness) -> None:
        self._settings, self._schema, self._result = settings, schema, result
        self._code = code_to_send(schema.codes)
        self._session = requests.Session()
        self._session.headers.update(bearer(settings.api))
        self._producer: KafkaProducer = producer(settings.kafka, linger_ms=0)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
        self._producer.close()

    def round(self, userid: Id, *, counts: bool) -> None:
        """Time a list, an event through the API and one through the producer."""
        began = time.perf_counter()
        before = self._post("/ml/rec", {"userid": userid})
        baseline_ms = _since(began)

        began = time.perf_counter()
        event = self._event(userid, before)
        position = self._post("/events", self._schema.events.fields(event))
        rate_ms = _since(began)
        after = self._list_after(userid, position["partition"], position["offset"])
        total_ms = _since(began)
        stale = int(not _fresh(before, after, event.itemid, position["offset"]))

        sent = self._event(userid, after)
        key, value = self._schema.events.encode(sent)
        partition = partition_of(userid, self._settings.kafka.partitions)
        began = time.perf_counter()
        told = self._producer.send(self._settings.kafka.topic, key=key, value=value, partition=partition).get(30)
        last = self._list_after(userid, partition, told.offset)
        send_ms = _since(began)
        stale += not _fresh(after, last, sent.itemid, told.offset)
        if counts:
            for name, ms in zip(STEPS, (rate_ms, total_ms - rate_ms, total_ms, send_ms, baseline_ms), strict=True):
                getattr(self._result, name).append(ms)
            self._result.stale += stale

    def _event(self, userid: Id, listed: dict[str, Any]) -> Event:
        return Event(userid, listed["item_list"][0]["itemid"], self._code, int(time.time()))

    def _list_after(self, userid: Id, partition: int, offset: int) -> dict[str, Any]:
        return self._post("/ml/rec", {"userid": userid, "after": {"partition": partition, "offset": offset}})

    def _post(self, path: str, body: object) -> dict[str, Any]:
        api = self._settings.api
        try:
            answer = self._session.post(f"http://{api.host}:{api.port}{path}", json=body, timeout=30)
            told: dict[str, Any] = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise Unreachable(f"the API does not answer ({type(error).__name__}); run `reelstream up`") from None
        if not answer.ok:
            raise Unreachable(str(told.get("error")))
        return told


def _since(began: float) -> float:
    return 1000 * (time.perf_counter() - began)


def _fresh(before: dict[str, Any], after: dict[str, Any], itemid: Id, offset: int) -> bool:
    """True if a list was made after an event with the item."""
    return (
        itemid not in [item["itemid"] for item in after["item_list"]]
        and after["as_of"]["offset"] >= offset
        and after["item_list"] != before["item_list"]
    )
