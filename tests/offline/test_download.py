from __future__ import annotations

import hashlib
import http.server
import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from offline.data import download
from offline.errors import DataError
from settings import Settings, load

FILES = {"ml-1m/ratings.dat": "1::1::5::1\n", "ml-1m/users.dat": "users", "ml-1m/movies.dat": "movies", "README": "x"}
REPEATS = 20_000


def archive() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name, text in FILES.items():
            file.writestr(name, text * REPEATS)
    return made.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves one file, with ranges; asked without one, it stops after `cut` bytes."""

    body: ClassVar[bytes] = archive()
    cut: ClassVar[int] = 1 << 30
    ranges: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if start >= len(self.body):
            self.send_response(416)
            self.end_headers()
            return
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(self.body) - start))
        self.end_headers()
        self.wfile.write(self.body[start:] if asked else self.body[: self.cut])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Handler.ranges, Handler.cut = [], 1 << 30
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}/ml-1m.zip"
        served.shutdown()
        thread.join()


def settings_for(folder: Path, url: str, md5: str | None = None) -> Settings:
    digest = md5 or hashlib.md5(Handler.body, usedforsecurity=False).hexdigest()
    return load(data={"folder": str(folder), "url": url, "md5": digest})


def test_the_files_are_fetched_checked_and_unpacked(server: str, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    folder = download.get(settings_for(tmp_path / "data", server), lambda done, total: seen.append((done, total)))
    assert {path.name for path in folder.iterdir()} == {"ratings.dat", "users.dat", "movies.dat"}
    assert (folder / "ratings.dat").read_text() == FILES["ml-1m/ratings.dat"] * REPEATS
    assert seen[-1] == (len(Handler.body), len(Handler.body))


def test_a_download_that_was_cut_off_goes_on_where_it_ended(server: str, tmp_path: Path) -> None:
    Handler.cut = 150_000
    settings = settings_for(tmp_path, server)
    with pytest.raises(DataError, match="try again"):
        download.get(settings, lambda done, total: None)
    have = (tmp_path / "ml-1m.zip.part").stat().st_size
    assert 0 < have <= 150_000
    download.get(settings, lambda done, total: None)
    assert Handler.ranges == [None, f"bytes={have}-"]
    assert (tmp_path / "movies.dat").is_file()


def test_a_complete_part_is_not_fetched_again(server: str, tmp_path: Path) -> None:
    (tmp_path / "ml-1m.zip.part").write_bytes(Handler.body)
    download.get(settings_for(tmp_path, server), lambda done, total: None)
    assert (tmp_path / "users.dat").is_file()


def test_files_that_are_there_are_not_fetched(server: str, tmp_path: Path) -> None:
    for name in ("ratings.dat", "users.dat", "movies.dat"):
        (tmp_path / name).touch()
    download.get(settings_for(tmp_path, server), lambda done, total: None)
    assert Handler.ranges == []


def test_a_wrong_checksum_is_refused_and_the_part_deleted(server: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="MD5"):
        download.get(settings_for(tmp_path, server, "0" * 32), lambda done, total: None)
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_server_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be downloaded .* ML1M_DIR"):
        download.get(settings_for(tmp_path, "http://127.0.0.1:9/ml-1m.zip"), lambda done, total: None)
