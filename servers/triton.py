"""Triton 2.51: the wheel nvidia-pytriton in an environment of its own, with the Python backend only.

The wheel has no onnxruntime backend, so Triton serves a repository that `triton_repository` derives from the stock one.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from servers import triton_environment, triton_repository
from servers.http_probe import expect_ok
from servers.layout import Layout
from servers.part import LOOPBACK, Launch, NotYet, Part, Port, require_loopback
from settings import Settings


def part(settings: Settings) -> Part:
    """Triton as a part of the system."""
    require_loopback(settings.triton.host, "triton.host")
    return Part(
        name="triton",
        ports=(
            Port(settings.triton.http_port, "triton.http_port"),
            Port(settings.triton.grpc_port, "triton.grpc_port"),
            Port(settings.triton.metrics_port, "triton.metrics_port"),
        ),
        launch=lambda: _launch(settings),
        probe=lambda: _probe(settings.triton.http_port),
    )


def models(settings: Settings) -> Path:
    """The derived model repository that Triton serves."""
    return settings.state / "triton" / "models"


def derive(settings: Settings) -> None:
    """Bring the derived model repository up to date with the stock one."""
    triton_repository.derive(settings.model_repository, models(settings))


def _launch(settings: Settings) -> Launch:
    derive(settings)
    environment = triton_environment.environment()
    backends = settings.state / "triton" / "backends"
    _backend(environment, backends / "python")
    # A server that is killed leaves its shared memory behind; the name tells ours from others'.
    shared = "reelstream-" + hashlib.sha256(str(settings.state).encode()).hexdigest()[:12]
    return Launch(
        argv=[
            sys.executable,
            "-I",
            str(Path(__file__).with_name("triton_watch.py")),
            str(environment.server),
            f"--model-repository={models(settings)}",
            f"--backend-directory={backends}",
            f"--backend-config=python,shm-region-prefix-name={shared}",
            "--model-control-mode=explicit",
            "--load-model=*",
            # The configurations are complete; to ask a model for more would take a process of its own.
            "--disable-auto-complete-config",
            "--strict-readiness=false",
            "--exit-on-error=false",
            "--exit-timeout-secs=5",
            "--allow-gpu-metrics=false",
            "--pinned-memory-pool-byte-size=0",
            f"--http-address={LOOPBACK}",
            f"--http-port={settings.triton.http_port}",
            f"--grpc-address={LOOPBACK}",
            f"--grpc-port={settings.triton.grpc_port}",
            f"--metrics-address={LOOPBACK}",
            f"--metrics-port={settings.triton.metrics_port}",
        ],
        environment=environment.variables,
        directory=Layout(settings.state).state,
        leftovers=f"/dev/shm/{shared}*",  # nosec B108: names that Triton gives, removed and never read
    )


def _backend(environment: triton_environment.Environment, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for source in (*environment.backend.iterdir(), environment.stub):
        target = folder / source.name
        if not target.exists() or target.stat().st_mtime != source.stat().st_mtime:
            temporary = target.with_suffix(".new")
            shutil.copy2(source, temporary)
            temporary.rename(target)


def _probe(port: int) -> None:
    """The server is live, and so is each model that it says is ready."""
    expect_ok(port, "/v2/health/live")
    for model in expect_ok(port, "/v2/repository/index", method="POST").json():
        if model.get("state") == "LOADING":
            raise NotYet(f"model {model['name']} is loading")
        if model.get("state") == "READY":
            expect_ok(port, f"/v2/models/{model['name']}/versions/{model['version']}/ready")
