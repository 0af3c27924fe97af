"""`make faults`: every fault in turn, a line for each, and a table; exits with 1 where a promise is broken."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import asdict, fields
from pathlib import Path

from rich.console import Console
from rich.table import Table

import servers
from tests.faults.disk import NO_FREE_ROOM, small_disk
from tests.faults.faults import FAULTS, Fault, disk_full
from tests.faults.losses import LOSSES, Loss
from tests.faults.runner import Outcome, run, run_loss
from tests.system.conftest import running_system


def broken(fault: Fault | Loss, outcome: Outcome) -> list[str]:
    """The promises that an outcome breaks."""
    promises = {
        "lost": outcome.lost == 0,
        "counted twice": outcome.twice == 0,
        "differences": outcome.differences == 0,
        "caught up late": outcome.caught_up_s <= fault.caught_up_within_s,
        "failed requests": not fault.of_store or outcome.failed == 0,
    }
    return [name for name, kept in promises.items() if not kept]


def main() -> None:
    """Run the suite."""
    parser = argparse.ArgumentParser(description="the fault suite")
    parser.add_argument("faults", nargs="*", help="names of faults (default: all)")
    parser.add_argument("--json", type=Path, help="write the outcomes to this file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=1000.0, help="events per second")
    parser.add_argument("--users", type=int, default=2000, help="users, each with 10 events in the replay")
    given = parser.parse_args()
    every: list[Fault | Loss] = [*FAULTS, *LOSSES]
    chosen = [fault for fault in every if not given.faults or fault.name in given.faults]
    if not chosen or len(chosen) < len(given.faults):
        parser.error(f"the faults are: {', '.join(fault.name for fault in every)}")
    outcomes, failures = [], []
    with (
        tempfile.TemporaryDirectory(prefix="reelstream-faults-") as folder,
        small_disk(Path(folder) / "state") as small,
        running_system(Path(folder), users=given.users, items=300, events=30 * given.users, **NO_FREE_ROOM) as system,
    ):
        for number, fault in enumerate(chosen):
            if isinstance(fault, Fault) and fault.happen is disk_full and not small:
                print("disk full: skipped, because only root can mount a small disk", flush=True)
                continue
            try:
                do = run_loss if isinstance(fault, Loss) else run
                outcome = do(system, fault, seed=given.seed + number, rate=given.rate)  # type: ignore[operator]
            except Exception as error:
                kept = Path(tempfile.mkdtemp(prefix="reelstream-logs-"))
                shutil.copytree(system.settings.state / "logs", kept, dirs_exist_ok=True)
                failures.append(f"{fault.name}: {type(error).__name__}: {error} (logs in {kept})")
                print(failures[-1], flush=True)
                servers.up(system.settings, workers=1)
                continue
            outcomes.append(outcome)
            failures += [f"{fault.name}: {what}" for what in broken(fault, outcome)]
            print(outcome.line(), flush=True)
    if given.json:
        given.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    table = Table(*(field.name for field in fields(Outcome)))
    for outcome in outcomes:
        table.add_row(*(str(value) for value in asdict(outcome).values()))
    Console(width=160).print(table)
    if failures:
        sys.exit("broken promises: " + "; ".join(failures))


if __name__ == "__main__":
    main()
