"""A steady load of `POST /ml/rec`, and what became of each request; a steady load of events."""

from __future__ import annotations

import gc
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import urllib3

from features import Event, Id, Schema
from settings import Settings, bearer
from stores import partition_of, producer


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
        began: seconds since the load began, when it was due.
        ms: milliseconds from when it was due to the answer, so that a stalled server is not spared by a waiting client.
        status: HTTP status, 0 without an answer.
        run: the run that made the list; empty without one.
        degraded: names of the stores that were down.
        error: the message of an answer that is none, or the error of the client.
        itemids: the list.
        as_of: (partition, offset) of the state that it was made from; None without one.
    """

    began: float
    ms: float
    status: int
    run: str = ""
    degraded: tuple[str, ...] = ()
    error: str = ""
    itemids: tuple[Id, ...] = ()
    as_of: tuple[int, int] | None = None

    @classmethod
    def of(cls, began: float, ms: float, status: int, body: dict[str, Any]) -> Request:
        """A request that was answered."""
        itemids = tuple(item["itemid"] for item in body.get("item_list", ()))
        as_of = body.get("as_of") and (body["as_of"]["partition"], body["as_of"]["offset"])
        error = str(body.get("error", body)) if status != 200 else ""
        return cls(began, ms, status, body.get("run", ""), tuple(body.get("degraded", ())), error, itemids, as_of)


def failures(requests: Iterable[Request]) -> dict[str, int]:
    """Count requests without a list by status and message, most frequent first."""
    failed = Counter(f"{request.status} {request.error}" for request in requests if request.status != 200)
    return dict(failed.most_common())


NO_ANSWER = (urllib3.exceptions.HTTPError, ValueError)
"""Raised by a client that gets no answer, or none that is JSON."""

TIMEOUT_S = 30.0


class ListClient:
    """Asks for lists over a connection of its own, with little work, as it shares its processors with what it measures.

    Args:
        address: of `POST /ml/rec`.
        headers: of each request.
    """

    def __init__(self, address: str, headers: Mapping[str, str]) -> None:
        self._address, self._headers = address, {**headers, "content-type": "application/json"}
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=1, timeout=TIMEOUT_S, retries=False)

    def ask(self, userid: Id) -> tuple[int, dict[str, Any]]:
        """(status, body) of the answer; raises as NO_ANSWER says."""
        answer = self._pool.request("POST", self._address, body=orjson.dumps({"userid": userid}), headers=self._headers)
        return answer.status, orjson.loads(answer.data)


class Load:
    """Sends requests at a steady rate in a thread of its own until stopped.

    Args:
        settings: where the API is.
        userids: whose lists are asked for, in turn.
        per_s: requests a second.
    """

    def __init__(self, settings: Settings, userids: Sequence[Id], per_s: float) -> None:
        self._address = f"http://{settings.api.host}:{settings.api.port}/ml/rec"
        self._headers = bearer(settings.api)
        self._userids = userids
        self._per_s = per_s
        self._stopping = threading.Event()
        self._local = threading.local()
        self._started = time.perf_counter()
        self._pool = ThreadPoolExecutor(max_workers=16)
        self._thread = threading.Thread(target=self._send, daemon=True)
        self.requests: list[Request] = []

    def start(self) -> None:
        """Begin to send."""
        # A full collection of what the caller holds would stop the client for a tenth of a second, now and then.
        gc.collect()
        gc.freeze()
        self._started = time.perf_counter()
        self._thread.start()

    def now(self) -> float:
        """Seconds since the load began."""
        return time.perf_counter() - self._started

    def stop(self) -> list[Request]:
        """Stop, wait for the last answers, and give all requests in the order in which they were due."""
        self._stopping.set()
        self._thread.join()
        self._pool.shutdown()
        gc.unfreeze()
        return sorted(self.requests, key=lambda request: request.began)

    def _send(self) -> None:
        number = 0
        while not self._stopping.is_set():
            due = number / self._per_s
            self._stopping.wait(max(0.0, due - self.now()))
            self._pool.submit(self._ask, due, self._userids[number % len(self._userids)])
            number += 1

    def _ask(self, due: float, userid: Id) -> None:
        if not hasattr(self._local, "client"):
            self._local.client = ListClient(self._address, self._headers)
        try:
            status, body = self._local.client.ask(userid)
            request = Request.of(due, 1000 * (self.now() - due), status, body)
        except NO_ANSWER as failure:
            request = Request(due, 1000 * (self.now() - due), 0, error=repr(failure))
        self.requests.append(request)


@contextmanager
def events_sent(
    settings: Settings, schema: Schema, userids: Sequence[Id], items: Sequence[Id], per_s: float
) -> Iterator[list[int]]:
    """Append events of random users and items to the log at a steady rate, 0 for none; gives their number in a list."""
    rng, stopping, sent = random.Random(11), threading.Event(), [0]

    def send() -> None:
        if not per_s:
            return
        began = time.perf_counter()
        with closing(producer(settings.kafka, linger_ms=50)) as client:
            while not stopping.wait(max(0.0, began + sent[0] / per_s - time.perf_counter())):
                code = rng.randint(1, schema.codes.size - 1)
                event = Event(rng.choice(userids), rng.choice(items), code, int(time.time()))
                key, value = schema.events.encode(event)
                partition = partition_of(event.userid, settings.kafka.partitions)
                client.send(settings.kafka.topic, key=key, value=value, partition=partition)
                sent[0] += 1
            client.flush()

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield sent
    finally:
        stopping.set()
        thread.join()
