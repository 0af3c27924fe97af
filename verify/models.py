"""The comparison of what Triton holds for a run with the run's folder."""

from __future__ import annotations

from pathlib import Path

from offline import runs
from offline.errors import RunError
from offline.publish.probe import prove
from settings import Settings
from stores import ENCODER, RANKER, LiveRun, Models
from verify.report import Verified

FILES = ("model.onnx", "config.pbtxt")


def compare_models(settings: Settings, run: LiveRun, folder: Path, result: Verified) -> None:
    """Compare the files of the model repository with the manifest, and Triton's answers with the recorded ones.

    Raises:
        Unreachable: if Triton does not answer.
    """
    manifest = runs.manifest(folder)
    for model in (ENCODER, RANKER):
        place = settings.model_repository / model
        for file in FILES:
            path = place / (str(run.version) if file == "model.onnx" else "") / file
            stored = runs.sha256(path) if path.is_file() else None
            result.check(f"{model}/{file} of version {run.version}", manifest.files[f"{model}/{file}"], stored)
    models = Models(settings.triton)
    try:
        for model in (ENCODER, RANKER):
            if not models.ready(model, run.version):
                result.check(f"{model} version {run.version} on Triton", "ready", "not loaded")
                return
        prove(models, folder, run.version)
    except RunError as error:
        result.check(f"answers of version {run.version} on Triton", "as recorded at training", error)
    finally:
        models.close()
