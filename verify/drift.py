"""The comparison of what drift has counted of each partition with the log.

Drift follows the stream, may be disabled, and begins to count anew with each run: so it has counted the events that end
with the last one it names, as many as it says. Those are compared by their labels; the features before each event are
not computed again, but each series must hold every event once. Events that waited for their item are not counted.
"""

from __future__ import annotations

import numpy as np

from drift import Reference, ReferenceError
from drift.records import PartitionCounts
from drift.series import LABEL, Series
from stores import DriftStore, LiveRun, Published
from verify.log import Counted, Expected
from verify.reading import read_one
from verify.report import Unreadable, Verified


def compare_drift(
    expected: Expected, store: DriftStore, published: Published, spoil_features: bool, result: Verified
) -> None:
    """Compare the counts of each partition.

    Args:
        expected: the log, folded again.
        store: what is stored.
        published: the run in use.
        spoil_features: the setting `drift.spoil_features`; events may then have spoilt the terms of labels.
        result: takes the differences.

    Raises:
        Unreachable: if a store does not answer.
    """
    stored = read_one(store.counts)
    run, previous = read_one(published.run), read_one(published.previous_run)
    series, reference = Series(expected.schema), None
    if run is not None and not isinstance(run, Unreadable):
        try:
            reference = Reference.from_json(series, published.reference(run.run))
        except (ReferenceError, ValueError, TypeError):
            reference = None
    if isinstance(stored, Unreadable):
        result.check("counts of drift", "counts by partition", stored)
        return
    unknown = stored.keys() - expected.folded.keys()
    result.check("partitions counted by drift", set(), unknown)
    ends = expected.ends()
    for partition, counts in stored.items():
        if partition in unknown:
            continue
        if counts.last >= ends[partition]:
            name = f"counts of drift in partition {partition}: last offset"
            result.check(name, f"below {ends[partition]}", counts.last)
            continue
        expected.fold_to({partition: counts.last + 1})
        name = f"counts of drift in partition {partition}: series"
        known = series_of(series, counts, previous if isinstance(previous, LiveRun) else None)
        result.check(name, known, sorted(counts.series))
        spoilt = spoil_features and expected.counted[partition].broken
        _compare(partition, counts, expected, series, reference, spoilt, result)
        result.drift_events += counts.events


def series_of(series: Series, counts: PartitionCounts, previous: LiveRun | None) -> list[str]:
    """The series that a partition's counts must have, sorted.

    They are those of the previous run, which may have had other features, until the partition has another event.
    """
    before = {*previous.dense, *series.labels} if previous else set()
    return sorted(before if counts.series.keys() == before else series.names[: series.exact])


def _compare(
    partition: int,
    counts: PartitionCounts,
    expected: Expected,
    series: Series,
    reference: Reference | None,
    spoilt: bool,
    result: Verified,
) -> None:
    name = f"counts of drift in partition {partition}"
    known = expected.counted[partition]
    end = int(np.searchsorted(np.frombuffer(known.offset, dtype=np.int64), counts.last, side="right"))
    last = known.offset[end - 1] if end else None
    if (end or not expected.begins[partition]) and not known.gone:
        result.check(f"{name}: last offset", last, counts.last)
    if counts.events > end and expected.begins[partition]:
        # Of the events before the snapshot that the log follows, only their sum is known here.
        reference, known = None, Counted()
    elif known.gone and counts.events >= 0:
        # Events of users who were erased since were counted, and are gone: which ones, nobody knows.
        reference = None
    elif counts.events > end or counts.events < 0:
        result.check(f"{name}: events", f"at most {end}", counts.events)
        return
    of_values = series.labels[1:]
    sums = {of_series: sum(bins) for of_series, bins in counts.series.items() if of_series not in of_values}
    wrong = {of_series: total for of_series, total in sums.items() if total != counts.events}
    if wrong:
        which = next(iter(wrong)) if len(wrong) == 1 else f"{len(wrong)} series"
        result.check(f"{name}: events of {which}", counts.events, wrong)
    if reference is None:
        return
    for label, values in _labels(series, known, end - counts.events, end).items():
        if label not in reference.labels or (spoilt and label != LABEL):
            continue
        histogram = reference.labels[label]
        wanted = np.bincount(histogram.place(np.array(values, dtype=np.float64)), minlength=histogram.bins)
        result.check(f"{name}: {label}", wanted.tolist(), counts.series.get(label))


def _labels(series: Series, known: Counted, begin: int, end: int) -> dict[str, list[int]]:
    """Values of the label series of some events."""
    values: dict[str, list[int]] = {label: [] for label in series.labels}
    for place in range(begin, end):
        for label in series.labels_of(known.item[place]):
            values[label].append(known.positive[place])
    return values
