"""Triton 2.51: the wheel nvidia-pytriton in an environment of its own, with the Python backend only.

The wheel has no onnxruntime backend, so Triton serves a repository that `repository` derives from the stock one.

Only who can write that repository can load a model: Triton looks at it once a second (`POLL`), and in this mode takes
no request to load or unload one. The wheel has weaknesses that later versions fixed, so as little as possible reaches
it: no HTTP, gRPC on a socket that only its owner can open, and of gRPC health, inference and lists (`CLOSED`).
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from tritonclient import grpc
from tritonclient.utils import InferenceServerException

from servers.component import PROBE_TIMEOUT_S, Component, Launch, NotYet
from servers.errors import Unsupported
from servers.paths import Layout, private_folder
from servers.triton import environment, repository
from settings import Settings, local

POLL = (
    "--model-control-mode=poll",
    "--repository-poll-secs=1",
)
CLOSED = (
    "--allow-http=false",
    "--allow-metrics=false",
    # A request to one of these must show a header whose name has capital letters, which HTTP/2 does not allow: nobody
    # can send it, so it is no secret and may stand here.
    "--grpc-restricted-protocol=shared-memory,model-config,statistics,trace,logging:NOBODY=nobody",
)

LOADS_AT_ONCE = "REELSTREAM_LOADS_AT_ONCE"
"""Has `model.py` load models at the priority at which they serve; else it does on idle processors only."""


def component(settings: Settings) -> Component:
    """Triton as a component of the system.

    Raises:
        Unsupported: the settings name a Triton elsewhere.
    """
    if settings.triton.host or settings.triton.tls:
        raise Unsupported(
            "the Triton that `reelstream up` starts listens on a socket in the state folder, without host and TLS; "
            "leave triton.host empty and set triton.tls to false, or start the components that you need by name"
        )
    return Component(
        name="triton",
        ports=(),
        launch=lambda: _launch(settings),
        probe=lambda: _probe(settings.triton.address),
    )


def models(settings: Settings) -> Path:
    """The derived model repository that Triton serves."""
    return settings.state / "triton" / "models"


def derive(settings: Settings) -> None:
    """Bring the derived model repository up to date with the stock one."""
    repository.derive(settings.model_repository, models(settings))


def _launch(settings: Settings) -> Launch:
    derive(settings)
    python = environment.environment()
    backends = settings.state / "triton" / "backends"
    _backend(python, backends / "python")
    socket = Path(settings.triton.address.removeprefix("unix:"))
    if not socket.is_relative_to(settings.state):
        private_folder(socket.parent)
    # A server that is killed leaves its shared memory behind; the name tells ours from others'.
    shared = "reelstream-" + hashlib.sha256(str(settings.state).encode()).hexdigest()[:12]
    return Launch(
        argv=[
            sys.executable,
            "-I",
            str(Path(__file__).with_name("watch.py")),
            str(python.server),
            f"--model-repository={models(settings)}",
            f"--backend-directory={backends}",
            f"--backend-config=python,shm-region-prefix-name={shared}",
            *POLL,
            *CLOSED,
            # The configurations are complete; to ask a model for more would take a process of its own.
            "--disable-auto-complete-config",
            "--strict-readiness=false",
            "--exit-on-error=false",
            "--exit-timeout-secs=5",
            "--pinned-memory-pool-byte-size=0",
            f"--grpc-address=unix:{socket.with_name(socket.name.removesuffix(f':{local.TRITON_PORT}'))}",
            f"--grpc-port={local.TRITON_PORT}",
        ],
        environment=python.variables if settings.publish.idle_priority else python.variables | {LOADS_AT_ONCE: "1"},
        directory=Layout(settings.state).state,
        leftovers=f"/dev/shm/{shared}*",  # nosec B108: names that Triton gives, removed and never read
    )


def _backend(environment: environment.Environment, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for source in (*environment.backend.iterdir(), environment.stub):
        target = folder / source.name
        if not target.exists() or target.stat().st_mtime != source.stat().st_mtime:
            temporary = target.with_suffix(".new")
            shutil.copy2(source, temporary)
            temporary.rename(target)


def _probe(address: str) -> None:
    """The server is ready, no model is being loaded, and each that it lists as ready answers that it is."""
    with grpc.InferenceServerClient(address) as client:
        try:
            if not client.is_server_ready(client_timeout=PROBE_TIMEOUT_S):
                raise NotYet("Triton says that it is not ready")
            for model in client.get_model_repository_index(client_timeout=PROBE_TIMEOUT_S).models:
                if model.state == "LOADING":
                    raise NotYet(f"model {model.name} is loading")
                if model.state == "READY" and not client.is_model_ready(
                    model.name, model.version, client_timeout=PROBE_TIMEOUT_S
                ):
                    raise NotYet(f"model {model.name} does not answer")
        except InferenceServerException as error:
            raise NotYet(f"Triton does not answer ({error.message().splitlines()[0]})") from error
