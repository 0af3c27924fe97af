"""`reelstream backup` and `restore`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import servers
from cli.console import bar, one_line, report
from cli.models import publish_run
from settings import load

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the backups.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def backup(
    folder: Folder,
    keep: Annotated[int, typer.Option(min=1, help="Complete backups that stay in the folder.")] = 7,
    check: Annotated[
        bool, typer.Option("--check", help="Make none; compare every file of the newest with its hash.")
    ] = False,
    json: Json = False,
) -> None:
    """Copy everything that the system is restored from, while it serves; only what is new is copied."""
    from lifecycle.backup import backup as back_up
    from lifecycle.backup_folder import BackupFolder

    with one_line():
        settings = load()
        if check:
            stored = BackupFolder(folder)
            manifest = stored.manifest()
            with bar("comparing files with their hashes") as tell:
                stored.check(manifest, lambda share: tell("comparing files with their hashes", share))
            figures = {"name": manifest.name, "files": len(manifest.files), "damaged": 0}
            report(json, figures, f"backup {manifest.name}: all {len(manifest.files)} files match their hashes")
            return
        with bar("comparing the log with the state") as tell:
            done = back_up(settings, folder, keep=keep, progress=tell)
    words = (
        f"backup {done.name}: {done.files:,} files, {done.bytes / 1e6:,.1f} MB, of which {done.files_copied:,} files, "
        f"{done.bytes_copied / 1e6:,.1f} MB were copied now, in {done.seconds:.0f} s"
    )
    report(json, asdict(done), words)


def restore(
    folder: Folder,
    at: Annotated[str | None, typer.Option("--at", help="Name of the backup (default: the newest).")] = None,
    json: Json = False,
) -> None:
    """Make an empty system, started with `up`, as it was at a backup."""
    from lifecycle.restore import restore as restore_system

    with one_line():
        settings = load()
        stopped: list[str] = []

        def start_workers() -> None:
            if stopped:
                servers.start(settings, stopped)
                stopped.clear()

        try:
            with bar("comparing files with their hashes") as tell:

                def publish(run: str) -> None:
                    publish_run(settings, run, tell, force=True)

                done = restore_system(
                    settings,
                    folder,
                    at=at,
                    stop_workers=lambda: stopped.extend(servers.stop(settings, ["workers", "archiver"])),
                    start_workers=start_workers,
                    publish=publish,
                    progress=tell,
                )
        finally:
            start_workers()
    words = (
        f"backup {done.backup} is restored in {done.seconds:.0f} s, with {done.letters:,} dead letters; "
        + (f"run {done.run} is live" if done.run else "no run was live, `reelstream publish` publishes one")
        + "; `reelstream verify` proves the state"
    )
    report(json, asdict(done), words)
