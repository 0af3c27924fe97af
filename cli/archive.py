"""`reelstream archive`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cli.console import bar, one_line, report
from settings import load


def archive(
    trim: Annotated[
        bool, typer.Option("--trim", help="Then delete from the log what is folded and archived, but the newest part.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Write the log up to its end to the archive, in files that are never changed."""
    from stores.archive.trim import WAITING_FOR_DROP
    from stores.archive.trim import trim as trim_log
    from stream.archive.archiver import Archiver

    with one_line():
        settings = load()
        archiver = Archiver(settings)
        try:
            with bar("archiving the log") as tell:
                written = archiver.write(
                    everything=True, progress=lambda done, total: tell("archiving the log", done / max(done, total))
                )
            trimmed = trim_log(settings) if trim else None
            positions = archiver.positions()
        finally:
            archiver.close()
    figures = {
        "files_written": written,
        "folder": str(settings.archive_folder),
        "partitions": [asdict(position) for position in positions],
        "trimmed": [asdict(each) for each in trimmed.deleted] if trimmed else [],
        "kept_for_previous": trimmed.kept_for_previous if trimmed else 0,
    }
    words = f"{written:,} files written; the archive holds {sum(each.end - each.first for each in positions):,} offsets"
    if trimmed is not None:
        deleted = sum(each.begins - each.began for each in trimmed.deleted)
        words += (
            f"; {deleted:,} offsets are deleted from the log, which keeps the newest "
            f"{settings.archive.keep_events:,} of each partition"
        )
    if trimmed is not None and trimmed.kept_for_previous:
        words += f"; {trimmed.kept_for_previous:,} more could be deleted: {WAITING_FOR_DROP}"
    report(json, figures, words)
