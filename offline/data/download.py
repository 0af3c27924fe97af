"""The public MovieLens-1M zip: fetched with resume, checked, unpacked."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import requests

from offline.data.readers import FILES
from offline.errors import DataError
from settings import Settings

CHUNK = 1 << 16
TIMEOUT = (10.0, 30.0)
"""Seconds to connect, and seconds without a byte."""

Progress = Callable[[int, int], None]
"""Called with bytes fetched and bytes in all (0 where the server does not say)."""


def get(settings: Settings, progress: Progress) -> Path:
    """Download the ratings into `settings.data_folder`, unless they are there.

    A download that was cut off continues where it ended.

    Returns:
        The data folder.

    Raises:
        DataError: the server cannot be reached or refuses, the checksum differs, or the zip lacks a file.
    """
    folder = settings.data_folder
    if all((folder / name).is_file() for name in FILES):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "ml-1m.zip.part"
    try:
        _fetch(settings.data.url, part, progress)
    except requests.RequestException as error:
        raise DataError(
            f"{settings.data.url} cannot be downloaded ({type(error).__name__}); try again to continue, "
            "or set ML1M_DIR to a folder with the files, or run `reelstream data make`"
        ) from None
    _check(part, settings.data.md5)
    _unpack(part, folder)
    part.unlink()
    return folder


def _fetch(url: str, part: Path, progress: Progress) -> None:
    have = part.stat().st_size if part.exists() else 0
    # Byte ranges count bytes as sent, so an encoding in between would shift them.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            return
        answer.raise_for_status()
        if answer.status_code != requests.codes.partial_content:
            have = 0
        total = have + int(answer.headers.get("Content-Length", 0))
        with part.open("ab" if have else "wb") as file:
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
                have += len(chunk)
                progress(have, max(total, have))
        if have < total:
            raise requests.ConnectionError(f"{have} of {total} bytes")


def _check(part: Path, md5: str) -> None:
    with part.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != md5:
        part.unlink()
        raise DataError(
            f"the zip has MD5 {found}, not {md5}; it was deleted; try again, or correct data.url and data.md5"
        )


def _unpack(part: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(part) as archive:
            inside = {PurePosixPath(name).name: name for name in archive.namelist()}
            missing = [name for name in FILES if name not in inside]
            if missing:
                raise DataError(f"the zip lacks {', '.join(missing)}; correct data.url")
            for name in FILES:
                whole = folder / f"{name}.part"
                whole.write_bytes(archive.read(inside[name]))
                whole.replace(folder / name)
    except zipfile.BadZipFile:
        raise DataError("the download is not a zip; correct data.url") from None
