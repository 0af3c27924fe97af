"""The archive as `adopt` sees it: whether it belongs to the log as it is now, and what it holds of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from settings import Settings
from stores.archive.archive import Archive
from stores.archive.continuation import compare
from stores.archive.manifest import Manifest
from stores.archive.whole_log import first_offset
from stores.kafka.batch_headers import Run, lost
from stores.kafka.epochs import Epoch, Epochs
from stores.kafka.log_check import LogBounds
from stores.kafka.log_probe import LogProbe


class ArchiveOfLog:
    """The archive, compared with a log.

    Args:
        settings: all settings.
        probe: asks Kafka for single records.
        bounds: the log, read just before.

    Attributes:
        first: by partition, the offset from which on archive and log together hold every record.
        epochs: of the log, each of which ends where the log does at the latest.

    Raises:
        ArchiveError: if the archive is damaged.
        Unreachable: if Kafka does not answer.
    """

    def __init__(self, settings: Settings, probe: LogProbe, bounds: Mapping[int, LogBounds]) -> None:
        self._archive = Archive(settings.archive_folder)
        self._other = compare(self._archive, probe)[0] is not None
        manifest, self._log = self._archive.manifest() or Manifest(), bounds[0].log
        self._stored = manifest.epochs
        self.epochs = Epochs(len(bounds))
        if manifest.log == self._log:
            self.epochs = Epochs(len(bounds), [_cut_off(epoch, bounds) for epoch in manifest.epochs])
        covered = {partition: self._archive.bounds(partition) for partition in bounds}
        self._gaps = {
            partition: (found[1], bounds[partition].start)
            for partition, found in covered.items()
            if found is not None and found[1] < bounds[partition].start
        }
        self.first = {
            partition: each.start if self._other else first_offset(self._archive, each)
            for partition, each in bounds.items()
        }

    def set_aside_unless_continued(self, accepted: Mapping[int, Sequence[tuple[int, int]]]) -> bool:
        """Keep records that this log does not continue out of the way of those that it has.

        They are those of another log, of one that has lost its end, or of one that was deleted before it was archived.

        Args:
            accepted: by partition, runs of offsets, as (first, end), that the state is known to lack.

        Returns:
            True if there were any.
        """
        if not self._other and all(self._only_lacks(gap, accepted[partition]) for partition, gap in self._gaps.items()):
            if self._stored != list(self.epochs.ended):
                with self._archive.locked():
                    manifest = self._archive.manifest() or Manifest()
                    self._archive.write_manifest(manifest.grown(self._log, self.epochs))
            return False
        with self._archive.locked():
            return self._archive.set_aside(self._log, self.epochs) is not None

    @staticmethod
    def _only_lacks(gap: tuple[int, int], accepted: Sequence[tuple[int, int]]) -> bool:
        """Return True if the archive goes on behind a gap, since the state lacks the events in it too."""
        return lost(gap, sorted((Run(*run, False) for run in accepted), key=lambda run: run.first)) is None


def _cut_off(epoch: Epoch, bounds: Mapping[int, LogBounds]) -> Epoch:
    """An epoch without what the log has lost: what is appended there later is of the newest epoch."""
    ends = tuple(min(end, bounds[partition].end) for partition, end in enumerate(epoch.ends))
    return epoch.model_copy(update={"ends": ends})
