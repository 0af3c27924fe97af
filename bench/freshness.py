"""The time from an event to a list that reflects it: `POST /events`, then `POST /ml/rec` with `after`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

import requests

from features import Codes, Event, Id, Schema
from settings import ReelstreamError, Settings, bearer
from stores import Unreachable

WARM_UP = 10


@dataclass
class Freshness:
    """Milliseconds of each step, one entry for each round.

    Attributes:
        rate_ms: `POST /events`, until Kafka has the event.
        rec_ms: `POST /ml/rec` with `after`, until the new list is there.
        total_ms: both.
        baseline_ms: `POST /ml/rec` alone, just before.
        stale: rounds in which the item was still in the list, the state older than the event, or the list the same.
    """

    rate_ms: list[float] = field(default_factory=list)
    rec_ms: list[float] = field(default_factory=list)
    total_ms: list[float] = field(default_factory=list)
    baseline_ms: list[float] = field(default_factory=list)
    stale: int = 0

    def figures(self) -> dict[str, Any]:
        """Median and 99th percentile of each step, and the ratio to the baseline."""
        steps = {name: getattr(self, name) for name in ("rate_ms", "rec_ms", "total_ms", "baseline_ms")}
        figures: dict[str, Any] = {
            name: {"p50": round(median(values), 2), "p99": round(quantiles(values, n=100)[98], 2)}
            for name, values in steps.items()
        }
        figures["ratio_to_baseline"] = round(median(self.total_ms) / median(self.baseline_ms), 2)
        figures["rounds"] = len(self.total_ms)
        figures["stale"] = self.stale
        return figures


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
    settings: Settings, schema: Schema, userids: Sequence[Id], rounds: int, progress: Callable[[str, float], None]
) -> Freshness:
    """Send an event with the first item of a user's list and ask for the list again, `rounds` times.

    Raises:
        Unreachable: if the API does not answer.
    """
    result, code = Freshness(), code_to_send(schema.codes)
    with requests.Session() as session:
        session.headers.update(bearer(settings.api))

        def post(path: str, body: object) -> tuple[dict[str, Any], float]:
            began = time.perf_counter()
            try:
                answer = session.post(f"http://{settings.api.host}:{settings.api.port}{path}", json=body, timeout=30)
                told: dict[str, Any] = answer.json()
            except (requests.RequestException, ValueError) as error:
                raise Unreachable(f"the API does not answer ({type(error).__name__}); run `reelstream up`") from None
            if not answer.ok:
                raise Unreachable(str(told.get("error")))
            return told, 1000 * (time.perf_counter() - began)

        for number in range(WARM_UP + rounds):
            userid = userids[number % len(userids)]
            before, baseline_ms = post("/ml/rec", {"userid": userid})
            itemid = before["item_list"][0]["itemid"]
            event = schema.events.fields(Event(userid, itemid, code, int(time.time())))
            position, rate_ms = post("/events", event)
            after_position = {"partition": position["partition"], "offset": position["offset"]}
            after, rec_ms = post("/ml/rec", {"userid": userid, "after": after_position})
            if number < WARM_UP:
                continue
            result.baseline_ms.append(baseline_ms)
            result.rate_ms.append(rate_ms)
            result.rec_ms.append(rec_ms)
            result.total_ms.append(rate_ms + rec_ms)
            fresh = (
                itemid not in [item["itemid"] for item in after["item_list"]]
                and after["as_of"]["offset"] >= position["offset"]
                and after["item_list"] != before["item_list"]
            )
            result.stale += not fresh
            progress("rating and asking", (number + 1) / (WARM_UP + rounds))
    return result
