"""`python -m tests.faults.publishing RUN --at STEP`: a publish that stands still at a step, there to be killed."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from cli.models import publish_run
from offline import runs
from offline.publish.probe import prove, prove_index
from offline.publish.publication import Step
from settings import Settings, load
from stores import LiveRun, Models, Unreachable
from stores.elasticsearch import ItemIndex
from tests.polling import until

MIDDLES = {Step.INDEX: (0.0, 0.1, 0.9), Step.DELETE_STATE: (0.0, 0.4, 0.8), Step.SNAPSHOT: (0.0, 0.5, 0.8)}
"""Steps that are also interrupted in their middle, by the share that is done."""

RESET_ONLY = (Step.DELETE_STATE, Step.DELETE_LOG, Step.SNAPSHOT)
AFTER_A_LOSS = (Step.FOLD,)
"""Only where Redis has lost the state and the log was trimmed; nothing is written in it."""


def places(*, reset: bool, short: bool = False) -> list[tuple[Step, float]]:
    """Every place at which a publish may be killed: the beginning of each step, and the middle of some.

    Args:
        reset: whether it deletes the log and the state.
        short: one place in each step, its middle where it has one.
    """
    steps = [step for step in Step if step not in AFTER_A_LOSS and (reset or step not in RESET_ONLY)]
    every = {step: MIDDLES.get(step, (0.0,)) for step in steps}
    return [(step, share) for step, shares in every.items() for share in (shares[1:2] if short else ()) or shares]


def copy_of(settings: Settings, name: str, quality: float | None = None) -> str:
    """A run of another name with the models of the newest; `quality` is the one that it claims on validation data."""
    newest = runs.folder(settings)
    folder = newest.parent / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(newest, folder)
    manifest = json.loads((folder / runs.MANIFEST).read_text())
    manifest["run"] = name
    if quality is not None:
        manifest["metrics"]["pipeline_validation"]["ndcg@10"] = quality
    (folder / runs.MANIFEST).write_text(json.dumps(manifest))
    return name


def require_whole(settings: Settings, *wanted: LiveRun) -> None:
    """Check that Triton answers as each run does, and that Elasticsearch finds the items nearest to its users.

    A server that does not answer is waited for, as on a busy machine; a wrong answer is refused at once.
    """
    until(lambda: _are_whole(settings, *wanted), 60, not_yet=(Unreachable,))


def _are_whole(settings: Settings, *wanted: LiveRun) -> bool:
    models, index = Models(settings.triton), ItemIndex(settings.elasticsearch)
    try:
        for run in wanted:
            folder = runs.folder(settings, run.run)
            prove(models, folder, run.version)
            prove_index(index, run.index, folder)
    finally:
        models.close()
        index.close()
    return True


@contextmanager
def standing(run: str, step: Step, share: float = 0.0, *, reset: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A publish in a process of its own that stands still at a step; killed afterwards."""
    command = [sys.executable, "-m", "tests.faults.publishing", run, "--at", step, "--share", str(share)]
    process = subprocess.Popen([*command, *(["--reset"] if reset else [])], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n", f"publishing did not come to {step}"
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()


def main() -> None:
    """Publish as far as a step."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("--at", required=True)
    parser.add_argument("--share", type=float, default=0.0)
    parser.add_argument("--reset", action="store_true")
    given = parser.parse_args()

    def tell(step: str, share: float) -> None:
        if step == given.at and share >= given.share:
            print("here", flush=True)
            while True:
                time.sleep(60)

    publish_run(load(), given.run, tell, reset=given.reset, force=True)


if __name__ == "__main__":
    main()
