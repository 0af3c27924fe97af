"""Servers started by a test as processes of its own, and certificates for them."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Thread

from tests.polling import until


@contextlib.contextmanager
def running(
    argv: Sequence[str], folder: Path, answers: Callable[[], object], environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process, from when `answers` no longer raises until it is ended."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(argv, cwd=folder, env=environment, stdout=output, stderr=output)

    def log_of() -> str:
        return log.read_text()[-3000:]

    try:
        until(lambda: process.poll() is not None or [answers()], 60, log_of, not_yet=(Exception,))
        assert process.poll() is None, log_of()
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def tls_before(port: int, certificate: Path, key: Path) -> Iterator[int]:
    """A port that speaks TLS and passes all it gets on to a loopback port that does not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with (
                contextlib.suppress(OSError),
                context.wrap_socket(self.request, server_side=True) as client,
                socket.create_connection(("127.0.0.1", port)) as server,
            ):
                back = Thread(target=self.pass_on, args=(server, client))
                back.start()
                self.pass_on(client, server)
                back.join()

        @staticmethod
        def pass_on(source: socket.socket, target: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Relay) as relay:
        relay.daemon_threads = True
        thread = Thread(target=relay.serve_forever)
        thread.start()
        yield relay.server_address[1]
        relay.shutdown()
        thread.join()


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """A new authority's certificate, and a certificate for 127.0.0.1 that it signed with its key; all PEM."""
    ca, ca_key, certificate, key = (folder / f"{name}.pem" for name in ("ca", "ca-key", "server", "server-key"))
    extensions = folder / "extensions"
    extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n")
    request = folder / "request.pem"
    new = ["-newkey", "rsa:2048", "-nodes", "-days", "2"]
    _openssl(
        "req",
        "-x509",
        *new,
        "-subj",
        "/CN=test authority",
        "-addext",
        "keyUsage=critical,keyCertSign",
        "-keyout",
        str(ca_key),
        "-out",
        str(ca),
    )
    _openssl("req", *new[:3], "-subj", "/CN=127.0.0.1", "-keyout", str(key), "-out", str(request))
    signing = ["-CA", str(ca), "-CAkey", str(ca_key), "-CAcreateserial", "-days", "2", "-extfile", str(extensions)]
    _openssl("x509", "-req", "-in", str(request), *signing, "-out", str(certificate))
    return ca, certificate, key


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
