"""Latency and throughput of `POST /ml/rec`, next to the tutorial's way of serving the same run (`bench.tutorial`)."""

from __future__ import annotations

import math
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import quantiles
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from bench.components import Components, spent
from bench.load import NO_ANSWER, ListClient, Load, Request, failures
from features import Id
from settings import Settings, bearer
from stores import Unreachable

CLIENTS = (1, 4, 16)
"""Clients of the closed loops: each sends its next request when the last one is answered."""

RATES = (25, 50, 75, 100, 125, 150, 175, 200, 250, 300, 350, 400, 500)
"""Requests a second of the open loops, until at TIMES rates the 99th percentile exceeds MOST_P99_MS."""

TIMES = 2
"""Another process of the machine may delay the requests of one loop."""

MOST_P99_MS = 100.0

WARM_UP_S = 2.0

STARTED_S = 60.0


def latency(
    settings: Settings, userids: Sequence[Id], seconds: float, progress: Callable[[str, float], None]
) -> dict[str, Any]:
    """Measure closed and open loops, and the closed ones with the tutorial's way.

    Args:
        settings: where the API and the stores are.
        userids: whose lists are asked for, in turn; all have events.
        seconds: of each loop.
        progress: told of the share that is done.

    Returns:
        `closed` and `tutorial` by number of clients, `open` by rate: requests, requests a second, percentiles and
        failures, and in `closed` milliseconds that a list spends in each store, as the API sees it (some stores are
        asked at the same time), and milliseconds of processor time for a list, by component; `most_per_s`, the highest
        rate of an open loop whose 99th percentile is within MOST_P99_MS; `ratio`, how many times as many requests a
        second as the tutorial's way, and how much sooner at the median (one client).

    Raises:
        Unreachable: if the API or the tutorial's way does not answer.
    """
    api = f"http://{settings.api.host}:{settings.api.port}"
    figures: dict[str, Any] = {"closed": {}, "open": {}, "tutorial": {}}
    components = Components(settings)
    with tutorial() as other:
        for clients in CLIENTS:
            progress(f"{clients} clients, one request after the other", 0.0)
            before, stores = components.cpu_s(), store_seconds(api, bearer(settings.api))
            answered = closed(api, bearer(settings.api), userids, clients, seconds)
            # Of those of the warm-up too, which are as many for each second.
            lists = max(1.0, len(answered) * (WARM_UP_S + seconds) / seconds)
            cpu_ms = spent(before, components.cpu_s(), 1000 / lists)
            store_ms = spent(stores, store_seconds(api, bearer(settings.api)), 1000 / lists)
            figures["closed"][str(clients)] = _figures(answered) | {"store_ms": store_ms, "cpu_ms_per_list": cpu_ms}
            progress(f"{clients} clients, the tutorial's way", 0.0)
            figures["tutorial"][str(clients)] = _figures(closed(other, {}, userids, clients, seconds))
    figures["most_per_s"], exceeded = 0, 0
    for rate in RATES:
        progress(f"{rate} requests a second", 0.0)
        of_rate = _figures(_opened(settings, userids, rate, seconds))
        figures["open"][str(rate)] = of_rate
        if not of_rate["failed"] and of_rate["p99_ms"] <= MOST_P99_MS:
            figures["most_per_s"], exceeded = rate, 0
        elif (exceeded := exceeded + 1) == TIMES:
            break
    ours, theirs = figures["closed"], figures["tutorial"]
    first = str(CLIENTS[0])
    per_s = {name: max(of["per_s"] for of in loops.values()) for name, loops in (("ours", ours), ("theirs", theirs))}
    figures["ratio"] = {
        "per_s": round(per_s["ours"] / per_s["theirs"], 2) if per_s["theirs"] else math.nan,
        "p50": round(theirs[first]["p50_ms"] / ours[first]["p50_ms"], 2),
    }
    return figures


def store_seconds(api: str, headers: dict[str, str]) -> dict[str, float]:
    """The seconds that lists have spent in each store so far.

    Raises:
        Unreachable: if the API does not answer.
    """
    try:
        text = requests.get(f"{api}/metrics", headers=headers, timeout=10).text
    except requests.RequestException as error:
        raise Unreachable(f"the API does not answer: {error}") from error
    return {
        sample.labels["store"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "reelstream_store_seconds_sum"
    }


@contextmanager
def tutorial() -> Iterator[str]:
    """The address of the tutorial's way of serving, in a process of its own."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.tutorial", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + STARTED_S
        while True:
            try:
                requests.get(address, timeout=5)
                break
            except requests.ConnectionError:
                if process.poll() is not None or time.monotonic() > end:
                    raise Unreachable("`python -m bench.tutorial` does not start; is a run published?") from None
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait()


def closed(address: str, headers: dict[str, str], userids: Sequence[Id], clients: int, seconds: float) -> list[Request]:
    """The requests of some clients, each of which sends one when the last is answered; without those of the warm-up."""
    answered: list[Request] = []
    began = time.perf_counter()

    def ask(first: int) -> None:
        number, client = first, ListClient(f"{address}/ml/rec", headers)
        while (sent := time.perf_counter()) < began + WARM_UP_S + seconds:
            try:
                status, body = client.ask(userids[number % len(userids)])
                request = Request.of(sent - began, 1000 * (time.perf_counter() - sent), status, body)
            except NO_ANSWER as error:
                request = Request(sent - began, 1000 * (time.perf_counter() - sent), 0, error=repr(error))
            if sent >= began + WARM_UP_S:
                answered.append(request)
            number += clients

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answered


def _opened(settings: Settings, userids: Sequence[Id], rate: float, seconds: float) -> list[Request]:
    """The requests of an open loop; without those of the warm-up."""
    load = Load(settings, userids, rate)
    load.start()
    time.sleep(WARM_UP_S + seconds)
    return [request for request in load.stop() if request.began >= WARM_UP_S]


def _figures(answered: Sequence[Request]) -> dict[str, Any]:
    """Requests a second, percentiles of those that were answered, and failures."""
    lists = [request for request in answered if request.status == 200 and not request.degraded]
    cuts = quantiles([request.ms for request in lists], n=100) if len(lists) > 1 else [float("nan")] * 99
    lasted = max(request.began + request.ms / 1000 for request in answered) - min(each.began for each in answered)
    return {
        "requests": len(answered),
        "per_s": round(len(lists) / lasted, 1),
        **{f"p{share}_ms": round(cuts[share - 1], 1) for share in (50, 90, 99)},
        "failed": len(answered) - len(lists),
        "failures": failures(answered),
    }
