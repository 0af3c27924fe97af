"""The time from a rating to a list that reflects it: `POST /ratings`, then `POST /ml/rec` with `after`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

import requests

from settings import Settings, bearer
from stores import Unreachable

WARM_UP = 10


@dataclass
class Freshness:
    """Milliseconds of each step, one entry for each round.

    Attributes:
        rate_ms: `POST /ratings`, until Kafka has the event.
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


def freshness(
    settings: Settings, userids: Sequence[int], rounds: int, progress: Callable[[str, float], None]
) -> Freshness:
    """Rate the first item of a user's list and ask for the list again, `rounds` times.

    Raises:
        Unreachable: if the API does not answer.
    """
    result = Freshness()
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
            position, rate_ms = post("/ratings", {"userid": userid, "itemid": itemid, "rating": 5})
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
