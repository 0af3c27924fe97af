"""Triton's own Python environment: made once for each Python version and set of locked requirements."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from servers.errors import SetupFailed, Unsupported
from servers.paths import REPOSITORY, cache

REQUIREMENTS = REPOSITORY / "requirements" / "triton.txt"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
GLIBC = (2, 35)
BASE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Environment:
    """An environment with the server's wheel: the files in it, and the variables that the server needs."""

    folder: Path
    libpython: Path

    @property
    def packages(self) -> Path:
        """The environment's site-packages."""
        return self.folder / "lib" / f"python{PYTHON}" / "site-packages"

    @property
    def server(self) -> Path:
        """The server's binary."""
        return self.packages / "pytriton" / "tritonserver" / "bin" / "tritonserver"

    @property
    def backend(self) -> Path:
        """The folder of the Python backend, without a stub."""
        return self.packages / "pytriton" / "tritonserver" / "backends" / "python"

    @property
    def stub(self) -> Path:
        """The process in which the Python backend runs a model, for this version of Python."""
        stubs = self.packages / "pytriton" / "tritonserver" / "python_backend_stubs"
        return stubs / PYTHON / "triton_python_backend_stub"

    @property
    def variables(self) -> dict[str, str]:
        """The stub finds its Python by PATH, its libpython and the wheel's libraries by LD_LIBRARY_PATH.

        NumPy only carries tensors there: the threads of its OpenBLAS would double what it takes to load.
        """
        return {
            "PATH": f"{self.folder / 'bin'}:{BASE_PATH}",
            "LD_LIBRARY_PATH": f"{self.libpython}:{self.packages / 'nvidia_pytriton.libs'}",
            "OPENBLAS_NUM_THREADS": "1",
        }


def environment() -> Environment:
    """The environment for this Python.

    Raises:
        Unsupported: there is no Triton for this machine or this Python.
    """
    lock = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    return Environment(cache() / f"triton-py{PYTHON}-{lock}", _supported())


def install() -> None:
    """Make the environment where it is missing.

    Raises:
        Unsupported: there is no Triton for this machine or this Python.
        SetupFailed: a package could not be had.
    """
    created = environment()
    complete = created.folder / "complete"
    if complete.exists():
        return
    created.folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(created.folder, ignore_errors=True)
    python = str(created.folder / "bin" / "python")
    if uv := shutil.which("uv") or shutil.which("uv", path=Path(sys.prefix) / "uv" / "bin"):
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(created.folder)])
        _run([uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, str(REQUIREMENTS)])
    else:
        _run([sys.executable, "-m", "venv", str(created.folder)])
        _run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", str(REQUIREMENTS)])
    if not created.stub.exists():
        raise Unsupported(f"the Triton wheel has no backend for Python {PYTHON}; use Python 3.11, 3.12 or 3.13")
    complete.touch()


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise SetupFailed(
            f"Triton's environment could not be created ({Path(command[0]).name}: {last}); "
            "check that the package index can be reached and run `make setup` again"
        )


def _supported() -> Path:
    """The folder of libpython, where this machine can run Triton."""
    system, machine = platform.system(), platform.machine()
    if system != "Linux" or machine != "x86_64":
        raise Unsupported(
            f"Triton has a wheel for Linux on x86-64 only, not for {system} on {machine}; use compose.yaml"
        )
    libc, version = platform.libc_ver()
    if libc != "glibc" or tuple(int(number) for number in version.split(".")[:2]) < GLIBC:
        raise Unsupported(
            f"Triton's wheel needs glibc 2.35 or later, and this machine has {libc} {version}; use compose.yaml"
        )
    name = sysconfig.get_config_var("INSTSONAME")
    libraries = Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib")
    folders = (libraries, libraries / (sysconfig.get_config_var("MULTIARCH") or ""), Path(sys.base_prefix) / "lib")
    library = next((folder for folder in folders if (folder / str(name)).is_file() and ".so" in str(name)), None)
    if library is None:
        raise Unsupported(
            f"Triton needs Python {PYTHON} as a shared library, and {sys.base_prefix} has none; "
            "use a Python built with --enable-shared"
        )
    return library
