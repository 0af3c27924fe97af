"""Credentials and sockets with which the clients of one state folder reach the servers that `up` starts.

Passwords lie in files, and Triton's socket in a folder, that only their owner can read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import tempfile
from pathlib import Path

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost"})

USER = "reelstream"
"""Name of the user of a server that asks for one."""

SECRET_BYTES = 32

TRITON_PORT = 1
"""The number in the name of Triton's socket, which Triton makes of its address and its port."""

# Linux allows 108 bytes for a socket; a server may first make it under a longer name.
SOCKET_PATH_BYTES = 95


def secret_file(state: Path, server: str) -> Path:
    """The file with the password of a server."""
    return state / "secrets" / server


def secret(state: Path | None, server: str) -> str:
    """The password of a server of this state folder; empty where there is none."""
    if state is not None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return secret_file(state, server).read_text().strip()
    return ""


def make_secret(state: Path, server: str) -> str:
    """The password of a server, which is generated where there is none."""
    file = secret_file(state, server)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.parent.chmod(0o700)
    if not secret(state, server):
        # A password appears whole, for its owner alone, or not at all.
        temporary = file.with_name(f".new-{server}")
        temporary.unlink(missing_ok=True)
        temporary.touch(mode=0o600, exist_ok=False)
        temporary.write_text(secrets.token_hex(SECRET_BYTES) + "\n")
        temporary.replace(file)
    return secret(state, server)


def socket_path(path: Path, name: str) -> Path:
    """`path`, or a file in this user's temporary folder where that is too long for a socket."""
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES:
        return path
    folder = Path(tempfile.gettempdir()) / f"reelstream-{os.getuid()}"
    return folder / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}.{name}"


def triton_socket(state: Path) -> Path:
    """The socket on which Triton speaks gRPC."""
    return socket_path(state / "triton" / f"grpc:{TRITON_PORT}", f"grpc:{TRITON_PORT}")
