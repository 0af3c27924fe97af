"""A stock Triton model repository mirrored into one that Triton's Python backend can serve.

The stock repository is MODEL/config.pbtxt and MODEL/VERSION/model.onnx for the onnxruntime backend. In the derived one
each version has a `model.py` next to its model.onnx, and the configuration names the Python backend instead.

Triton looks at the derived repository at any moment and takes what it finds, so a version appears and goes by one
rename. Until then, and after, its folder has a name that begins with 0, which Triton documents that it ignores: a
temporary folder of any other name would look to it like a change of all versions, which it would load once more.
"""

from __future__ import annotations

import contextlib
import importlib.util
import py_compile
import shutil
import time
from pathlib import Path

from google.protobuf import text_format  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2

from servers.errors import ServersError
from settings.locks import locked

MODEL = Path(__file__).with_name("model.py")
CONFIG = "config.pbtxt"


def derive(stock: Path, derived: Path) -> None:
    """Bring `derived` up to date with `stock`, under a server that may be serving it.

    A version appears by one rename, and a file is replaced by one rename, so that the server never sees half of either.
    What the stock repository no longer has goes; what it has is never taken away.

    Raises:
        ServersError: a model's configuration cannot be read.
    """
    with locked(derived.with_name(f"{derived.name}.lock")):
        _derive(stock, derived)


def _derive(stock: Path, derived: Path) -> None:
    derived.mkdir(parents=True, exist_ok=True)
    names = {folder.name for folder in stock.iterdir() if (folder / CONFIG).is_file()} if stock.is_dir() else set()
    for name in sorted(names):
        _derive_model(stock / name, derived / name)
    for entry in list(derived.iterdir()):
        if entry.name not in names:
            _remove(entry, derived.with_name(f"{derived.name}.gone"))


def _derive_model(stock: Path, derived: Path) -> None:
    """Withdraw what is gone, then the configuration, then what is new, so that no version meets another's inputs."""
    target = derived
    if not derived.is_dir():
        target = derived.parent.with_name(f"{derived.parent.name}.new")
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
    entries = {entry.name: entry for entry in stock.iterdir() if not _is_unfinished(entry)}
    for entry in list(target.iterdir()):
        if entry.name not in entries:
            _remove(entry, _aside(entry))
    _write(target / CONFIG, _python_config(entries.pop(CONFIG)).encode(), target.parent)
    for entry in entries.values():
        if entry.is_dir():
            _mirror_folder(entry, target / entry.name, with_model=entry.name.isdigit())
        else:
            _mirror_file(entry, target / entry.name)
    if target is not derived:
        target.rename(derived)


def _python_config(stock: Path) -> str:
    """The configuration with the Python backend, and all else as it was."""
    try:
        config = text_format.Parse(stock.read_text(), model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        raise ServersError(f"{stock} is not a Triton model configuration ({error}); publish the model again") from None
    for name in ("platform", "default_model_filename"):
        config.ClearField(name)
    config.backend = "python"
    return str(text_format.MessageToString(config))


def _mirror_folder(stock: Path, derived: Path, *, with_model: bool) -> None:
    target = derived
    if not derived.is_dir():
        target = _aside(derived)
        target.mkdir()
    files = [entry for entry in stock.rglob("*") if entry.is_file()]
    for file in files:
        _mirror_file(file, target / file.relative_to(stock))
    kept = {file.relative_to(stock) for file in files}
    if with_model:
        _mirror_file(MODEL, target / "model.py")
        kept.add(Path("model.py"))
        _compile(target / "model.py")
    for entry in [entry for entry in target.rglob("*") if entry.is_file()]:
        if entry.relative_to(target) not in kept and "__pycache__" not in entry.parts:
            entry.unlink()
    if target is not derived:
        target.rename(derived)


def _mirror_file(stock: Path, derived: Path) -> None:
    """Copy a file where size or time of change differ; a copy, so that a rewrite of the stock file is not seen here."""
    with contextlib.suppress(FileNotFoundError):
        ours, theirs = derived.stat(), stock.stat()
        if (ours.st_size, ours.st_mtime_ns) == (theirs.st_size, theirs.st_mtime_ns):
            return
    derived.parent.mkdir(parents=True, exist_ok=True)
    temporary = derived.with_name(f".new-{derived.name}")
    shutil.copy2(stock, temporary)
    temporary.rename(derived)


def _compile(code: Path) -> None:
    """Write a module's bytecode where it is not; Python's own, written next to a version when it is loaded, would look
    to Triton like a change of it, for which it loads the version that serves once more with the next."""
    bytecode = Path(importlib.util.cache_from_source(str(code)))
    if not bytecode.is_file() or importlib.util.source_hash(code.read_bytes()) not in bytecode.read_bytes()[:16]:
        py_compile.compile(str(code), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)


def _write(file: Path, content: bytes, work: Path) -> None:
    """Replace a file by one rename from a folder in which Triton does not look at files."""
    if file.is_file() and file.read_bytes() == content:
        return
    temporary = work / f".new-{file.parent.name}-{file.name}"
    temporary.write_bytes(content)
    temporary.replace(file)


def _remove(entry: Path, gone: Path) -> None:
    """Remove a file or a folder, which is first renamed so that Triton does not see half of it."""
    if entry.is_dir():
        shutil.rmtree(gone, ignore_errors=True)
        shutil.rmtree(entry.rename(gone))
    else:
        entry.unlink()


def _aside(version: Path) -> Path:
    """A name next to a version that Triton ignores."""
    return version.with_name(f"0{time.time_ns()}")


def _is_unfinished(entry: Path) -> bool:
    """Return whether an entry in a model's folder is not yet, or no longer, part of the model."""
    return entry.name.startswith(".") or (entry.name.startswith("0") and entry.name.isdigit())
