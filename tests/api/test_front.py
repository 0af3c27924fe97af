"""Clients that are slow, many or malformed, against the front in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
import requests

from tests.api.front_server import BIG
from tests.polling import until
from tests.servers_fixture import free_ports

CONNECTIONS = 200
TURN_S = 2.0
HEAD = b"POST /ml/rec HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Front:
    """The front, and what tests send to it."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.process = process
        self.address = f"http://127.0.0.1:{port}"

    def connect(self, data: bytes = b"", receive_buffer: int | None = None) -> socket.socket:
        client = socket.socket()
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(20)
        client.connect(("127.0.0.1", self.port))
        client.sendall(data)
        return client

    def raw(self, data: bytes) -> list[tuple[int, bytes]]:
        """Status and body of each answer to raw bytes, until the server closes."""
        with self.connect(data) as client:
            client.shutdown(socket.SHUT_WR)
            received = b""
            with contextlib.suppress(ConnectionResetError):
                while chunk := client.recv(1 << 16):
                    received += chunk
        return answers(received)

    def answers(self) -> None:
        """Check that both kinds of requests are answered."""
        assert requests.get(f"{self.address}/health/live", timeout=5).status_code == 200
        assert requests.post(f"{self.address}/ml/rec", json={"a": 1}, timeout=5).json() == {"a": 1}

    def open(self) -> int:
        [worker] = psutil.Process(self.process.pid).children()
        return sum(each.status == "ESTABLISHED" for each in worker.net_connections("tcp"))


def is_closed(client: socket.socket) -> bool:
    """Wait for the server's next word on a connection; tell whether it is that the connection is closed."""
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


def answers(received: bytes) -> list[tuple[int, bytes]]:
    """Status and body of answers with a length."""
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        n = int(length[1]) if length else 0
        found.append((int(head.split()[1]), rest[:n]))
        received = rest[n:]
    return found


@contextlib.contextmanager
def running_front(state: Path) -> Iterator[Front]:
    """A front of its own, with one thread for a kind of requests that has no more."""
    [port] = free_ports(1)
    variables = {
        "PORT": str(port),
        "THREADS": "1",
        "CONNECTIONS": str(CONNECTIONS),
        "CLIENT_TIMEOUT_S": str(TURN_S),
        "MAX_BODY_KB": "64",
    }
    environment = os.environ | {f"REELSTREAM_API__{name}": value for name, value in variables.items()}
    environment["REELSTREAM_STATE_DIR"] = str(state)
    command = [sys.executable, "-m", "tests.api.front_server"]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], env=environment, stderr=subprocess.DEVNULL)
    made = Front(port, process)
    try:
        until(lambda: [made.answers()], 60, not_yet=(requests.ConnectionError,))
        yield made
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with running_front(tmp_path_factory.mktemp("front")) as made:
        yield made


@pytest.fixture
def many() -> Iterator[contextlib.ExitStack]:
    """Holds connections until the test ends."""
    with contextlib.ExitStack() as held:
        yield held


SLOW = {
    "idle": b"",
    "half a request line": b"POST /ml/r",
    "half a head": HEAD,
    "no body": HEAD + b"Content-Length: 100\r\n\r\n",
    "half a body": HEAD + b'Content-Length: 100\r\n\r\n{"a": ',
    "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n10\r\n{",
    "no continuation": HEAD + b"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n",
}


@pytest.mark.parametrize("data", SLOW.values(), ids=SLOW)
def test_clients_that_send_half_a_request_hold_up_nobody(front: Front, many: contextlib.ExitStack, data: bytes) -> None:
    for _ in range(CONNECTIONS // 2):
        many.enter_context(front.connect(data))
    front.answers()


def test_more_clients_than_connections_cost_the_slowest_theirs(front: Front, many: contextlib.ExitStack) -> None:
    clients = [many.enter_context(front.connect(HEAD)) for _ in range(2 * CONNECTIONS)]
    front.answers()
    assert front.open() <= CONNECTIONS
    assert is_closed(clients[0])


def test_a_client_that_trickles_has_its_time_and_no_more(front: Front) -> None:
    client = front.connect(HEAD)
    began = time.monotonic()
    with client, pytest.raises(ConnectionError):
        while time.monotonic() - began < 10 * TURN_S:
            client.sendall(b"X: y\r\n")
            time.sleep(0.1)
    assert time.monotonic() - began >= TURN_S


def test_clients_that_do_not_read_hold_up_nobody_and_lose_their_connection(
    front: Front, many: contextlib.ExitStack
) -> None:
    for _ in range(20):
        many.enter_context(front.connect(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n", receive_buffer=4096))
    front.answers()
    until(lambda: not front.open(), 10 * TURN_S)


def test_a_client_that_reads_gets_all_of_a_large_answer(front: Front) -> None:
    assert requests.get(f"{front.address}/big", timeout=30).content == bytes(BIG)


def test_liveness_answers_while_every_thread_for_lists_is_at_work(front: Front) -> None:
    with ThreadPoolExecutor(8) as threads:
        at_work = [
            threads.submit(requests.post, f"{front.address}/ml/rec", json={"sleep": 1.0}, timeout=20) for _ in range(6)
        ]
        time.sleep(0.3)
        assert requests.get(f"{front.address}/health/live", timeout=5).status_code == 200
        assert not any(each.done() for each in at_work[3:])
        assert {each.result().status_code for each in at_work} == {200}


REFUSED = {
    "a body declared too large": (HEAD + b"Content-Length: 70000\r\n\r\n", 413),
    "a body declared absurdly large": (HEAD + b"Content-Length: 99999999999999999\r\n\r\n", 413),
    "chunks that are too large": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + (b"4000\r\n" + b" " * 0x4000 + b"\r\n") * 5 + b"0\r\n\r\n",
        413,
    ),
    "a head that is too large": (HEAD + b"X: " + b"y" * 40_000 + b"\r\n\r\n", 431),
    "a head without end": (b"GET /" + b"y" * 100_000, 431),
    "too many headers": (HEAD + b"X: y\r\n" * 101 + b"Content-Length: 0\r\n\r\n", 431),
    "two lengths": (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
    "length and chunks": (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 400),
    "a length that is none": (HEAD + b"Content-Length: -2\r\n\r\n", 400),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10 + b"\r\n\r\n", 400),
    "another host in the request line": (b"GET http://evil.example/seen HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
}


@pytest.mark.parametrize(("data", "status"), REFUSED.values(), ids=REFUSED)
def test_what_breaks_a_limit_is_refused_before_it_is_there(front: Front, data: bytes, status: int) -> None:
    with front.connect(data) as client:
        received = client.recv(1 << 16)
    assert answers(received)[0][0] == status
    front.answers()


def test_a_refusal_of_the_front_is_json_like_every_other(front: Front) -> None:
    [(_, body)] = front.raw(b"nonsense\r\n\r\n")
    assert set(json.loads(body)) == {"error"}


def test_a_body_that_is_too_large_is_not_read_to_its_end(front: Front) -> None:
    with front.connect(HEAD + b"Content-Length: 10000000000\r\n\r\n") as client, pytest.raises(ConnectionError):
        for _ in range(10_000):
            client.sendall(bytes(1 << 20))


def test_pipelined_requests_are_answered_in_their_order(front: Front) -> None:
    one = b"POST /ml/rec HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    bodies = [b'{"sleep": 0.2}', *(b'{"n": %d}' % n for n in range(50))]
    with front.connect(b"".join(one % (len(body), body) for body in bodies)) as client:
        received = b""
        while received.count(b"HTTP/1.1 200") < len(bodies) or not received.endswith(b"}\n"):
            received += client.recv(1 << 16)
    assert [json.loads(body) for _, body in answers(received)] == [json.loads(body) for body in bodies]


def test_the_application_sees_the_request_as_it_was_sent(front: Front) -> None:
    answer = requests.post(f"{front.address}/seen?a=%20b", data=iter(["caf\u00e9".encode(), b"!"]), timeout=5).json()
    assert (answer["body"], answer["path"], answer["query"]) == ("café!", "/seen", "a=%20b")
    [(_, body)] = front.raw(
        b"POST /seen HTTP/1.1\r\nHost: localhost\r\nX_Y: no\r\nX-Y: one\r\nX-Y: two\r\nTransfer-Encoding: chunked\r\n"
        b"Connection: close\r\n\r\n1\r\na\r\n0\r\nHost: evil.example\r\nX-Y: three\r\n\r\n"
    )
    told = json.loads(body)
    assert told["body"] == "a"
    assert told["headers"]["Host"] == "localhost"
    assert told["headers"]["X-Y"] == "one,two"
    [(_, upgraded)] = front.raw(
        b"GET /seen HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n"
    )
    assert json.loads(upgraded)["path"] == "/seen"


IDS = (
    "7",
    "a/b",
    "a/export",
    "50%",
    "%2F",
    "%252F",
    "a b",
    "ü",
    "😀",
    "?q=1&r",
    "a+b",
    "#",
    "{x}",
    "'\"<>",
    "\u00a0",
    "..%",
)


@pytest.mark.parametrize("userid", IDS)
def test_an_id_in_a_path_may_hold_any_character(front: Front, userid: str) -> None:
    path = f"{front.address}/users/{quote(userid, safe='')}"
    assert requests.get(path, timeout=5).json() == {"userid": userid, "export": False}
    assert requests.get(f"{path}/export", timeout=5).json() == {"userid": userid, "export": True}


def test_older_clients_and_other_methods_are_answered(front: Front) -> None:
    assert front.raw(b"GET /health/live HTTP/1.0\r\nHost: localhost\r\n\r\n")[0][0] == 200
    assert front.raw(b"GET http://localhost/health/live HTTP/1.0\r\nHost: localhost\r\n\r\n")[0][0] == 200
    assert requests.head(f"{front.address}/seen", timeout=5).status_code == 200
    assert requests.put(f"{front.address}/seen", timeout=5).status_code == 405
    with front.connect(HEAD + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n") as client:
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"{}")
        assert answers(client.recv(1 << 16))[0][0] == 200


def test_processes_are_exchanged_under_requests_without_a_failed_one(front: Front) -> None:
    before = {child.pid for child in psutil.Process(front.process.pid).children()}
    statuses: list[int] = []
    stopping = threading.Event()

    def ask() -> None:
        while not stopping.is_set():
            statuses.append(requests.post(f"{front.address}/ml/rec", json={"sleep": 0.05}, timeout=20).status_code)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    front.process.send_signal(signal.SIGHUP)
    until(lambda: not before & {child.pid for child in psutil.Process(front.process.pid).children()}, 60)
    stopping.set()
    for thread in threads:
        thread.join()
    assert len(statuses) >= 3
    assert set(statuses) == {200}


def test_a_stop_answers_what_is_at_work_and_waits_for_no_slow_client(tmp_path: Path) -> None:
    with running_front(tmp_path) as front, ThreadPoolExecutor(3) as threads, contextlib.ExitStack() as held:
        for data in SLOW.values():
            held.enter_context(front.connect(data))
        on_its_way = held.enter_context(front.connect())
        at_work = [
            threads.submit(requests.post, f"{front.address}/ml/rec", json={"sleep": 4.0}, timeout=20) for _ in range(3)
        ]
        until(lambda: front.open() == len(SLOW) + 1 + len(at_work))
        time.sleep(0.5)  # they are read
        front.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        on_its_way.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")
        received = b""
        while not received.endswith(b"{}\n") and (chunk := on_its_way.recv(1 << 16)):
            received += chunk
        assert answers(received) == [(200, b"{}\n")]
        assert [each.result().status_code for each in at_work] == [200] * 3
        assert front.process.wait(30) == 0
