"""Clients that mean no good, for the bench and the fault suite: `python -m bench.attacker KIND PORT SECONDS`.

Only against an API on this machine's loopback address, for a bounded time and with bounded numbers.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

ADDRESS = "127.0.0.1"
KINDS = ("exclude", "after", "half-sent")
LONGEST_S = 120.0
EXCLUDE_PER_S, AFTER_PER_S = 20.0, 4.0
"""Requests a second of the first two kinds. Each of the second is answered with a list, as any request for one."""

CONNECTIONS = 256
RECEIVE_BYTES = 4096
TOKEN = "REELSTREAM_API__TOKEN"

HEAD = b"POST /ml/rec HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
HALVES = (
    b"",
    b"POST /ml/r",
    HEAD,
    HEAD + b"Content-Length: 200000\r\n\r\n",
    HEAD + b'Content-Length: 200000\r\n\r\n{"userid": 1, "exclude": [',
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n100\r\n{",
    b"GET /pages/plotly.js HTTP/1.1\r\nHost: localhost\r\n\r\n",
)
"""Nothing, parts of requests, and one whole request whose answer is not read."""


def exclude(port: int, seconds: float) -> Counter[str]:
    """240 KB of `exclude`."""
    body = json.dumps({"userid": 1, "exclude": [1] * 80_000}).encode()
    return _steadily(port, seconds, EXCLUDE_PER_S, body)


def after(port: int, seconds: float) -> Counter[str]:
    """Positions that the log has not assigned, each in the partition of its user."""
    from settings import load
    from stores import partition_of

    partitions = load().kafka.partitions
    wanted = {userid: {"partition": partition_of(userid, partitions), "offset": 10**15} for userid in range(1, 33)}
    bodies = [json.dumps({"userid": userid, "after": position}).encode() for userid, position in wanted.items()]
    return _steadily(port, seconds, AFTER_PER_S, *bodies)


def half_sent(port: int, seconds: float) -> Counter[str]:
    """Connections that send a part of a request, some of them a byte now and then; those that end are opened again."""
    counted: Counter[str] = Counter()
    until = time.monotonic() + seconds
    clients: list[socket.socket | None] = [None] * CONNECTIONS
    with ExitStack() as held:
        while time.monotonic() < until:
            for number, client in enumerate(clients):
                if client is not None and _goes_on(client, trickles=number % 2 == 0):
                    continue
                with suppress(OSError):
                    clients[number] = held.enter_context(_open(port, HALVES[number % len(HALVES)]))
                    counted["opened"] += 1
            time.sleep(0.5)
    return counted


def _open(port: int, data: bytes) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    client.settimeout(1.0)
    client.connect((ADDRESS, port))
    client.sendall(data)
    client.setblocking(False)
    return client


def _goes_on(client: socket.socket, *, trickles: bool) -> bool:
    """Send one more byte where it trickles; tell whether the connection is still there."""
    try:
        if trickles:
            client.send(b"x")
        return client.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def _steadily(port: int, seconds: float, per_s: float, *bodies: bytes) -> Counter[str]:
    """Requests at a steady rate, each of eight threads with a connection of its own; how many had which status."""
    counted: Counter[str] = Counter()
    local = threading.local()
    token = os.environ.get(TOKEN)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})

    def send(body: bytes) -> None:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection(ADDRESS, port, timeout=30)
        try:
            local.connection.request("POST", "/ml/rec", body, headers)
            answer = local.connection.getresponse()
            answer.read()
            counted[str(answer.status)] += 1
        except (OSError, http.client.HTTPException):
            local.connection.close()
            counted["none"] += 1

    began = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        for number in range(int(seconds * per_s)):
            time.sleep(max(0.0, began + number / per_s - time.monotonic()))
            threads.submit(send, bodies[number % len(bodies)])
    return counted


ATTACKS: dict[str, Callable[[int, float], Counter[str]]] = dict(zip(KINDS, (exclude, after, half_sent), strict=True))


def main(given: Sequence[str]) -> None:
    """Attack, and print what was answered as JSON."""
    kind, port, seconds = given[0], int(given[1]), min(float(given[2]), LONGEST_S)
    print(json.dumps(ATTACKS[kind](port, seconds)))


if __name__ == "__main__":
    main(sys.argv[1:])
