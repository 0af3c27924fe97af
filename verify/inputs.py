"""The comparison of the ranker's inputs in the feature log with the declared formulas over the oracle's counts.

The formulas are the definition of the features, so there is nothing to compare them with; what they are given is
computed here by the oracle, for some events of the sampled users. Of an event whose item is not in the sample, the
columns that need the item's counts are left out. A feature that is added is compared like the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features import Id, ItemValue, Schema, dense
from features.columns import ItemTable
from settings import KafkaSettings
from stores import FeatureBatch, Log
from stores.kafka.feature_log import FeatureLogError
from verify.oracle import Oracle
from verify.report import Verified

EVENTS = 5
"""Latest events of each user that are compared."""

PAIRS = 50
"""Latest events of sampled users with sampled items that are compared."""

TOLERANCE = 1e-6
"""Relative: logarithms of many rows at once may differ in the last bit from those of one."""


def of_item_counts(schema: Schema) -> npt.NDArray[np.bool_]:
    """By column of the dense input, whether it needs the counts of the item."""
    return np.array(
        [
            any(("item", count) in feature.inputs for count in schema.item_columns)
            for feature in schema.table.features
            for _ in feature.columns
        ]
    )


@dataclass(frozen=True, eq=False)
class LoggedInput:
    """The dense input [columns] of an event in the feature log."""

    partition: int
    offset: int
    userid: Id
    itemid: Id
    row: npt.NDArray[np.float32]


def compare_inputs(
    settings: KafkaSettings, schema: Schema, oracle: Oracle, read: Mapping[int, int], sample: Sample, result: Verified
) -> None:
    """Compare logged inputs of events that the oracle has read.

    Args:
        settings: of Kafka.
        schema: of the data set.
        oracle: it has read the log up to before the offsets in `read`, by partition.
        read: see there.
        sample: the events to look at.
        result: takes the figures and the differences.

    Raises:
        Unreachable: if Kafka does not answer.
    """
    columns, without_counts = schema.dense_columns, ~of_item_counts(schema)
    for logged in chosen(settings, schema, read, sample):
        if not oracle.knows(logged.userid, logged.itemid, logged.partition, logged.offset):
            continue  # of a log that was lost, whose offsets were given again
        # What was logged before users were erased counted their events too.
        with_item = logged.itemid in sample.items and not oracle.gone
        expected = expected_row(schema, oracle, logged, with_item)
        compared = np.ones(len(columns), dtype=bool) if with_item else without_counts
        differs = compared & ~np.isclose(logged.row, expected, rtol=TOLERANCE, atol=0, equal_nan=True)
        names = [name for name, wrong in zip(columns, differs, strict=True) if wrong]
        event = f"sample: logged input of the event at offset {logged.offset} of partition {logged.partition}"
        stored, wanted = (dict(zip(names, row[differs].tolist(), strict=True)) for row in (logged.row, expected))
        result.check(event, wanted, stored)
        result.inputs += 1


@dataclass(frozen=True)
class Sample:
    """Users and items that the oracle watches, and the events, as (partition, offset), whose inputs are broken."""

    users: Collection[Id]
    items: Collection[Id]
    broken: Collection[tuple[int, int]]


def chosen(settings: KafkaSettings, schema: Schema, read: Mapping[int, int], sample: Sample) -> list[LoggedInput]:
    """The latest logged inputs of each user, and those of sampled items."""
    of_user: dict[Id, deque[LoggedInput]] = {userid: deque(maxlen=EVENTS) for userid in sample.users}
    of_pair: deque[LoggedInput] = deque(maxlen=PAIRS)
    log = Log(settings, settings.features_topic)
    try:
        for records in log.read_to(log.ends()):
            for record in records:
                try:
                    batch = FeatureBatch.unpack(record.value, schema)
                except FeatureLogError:
                    continue  # reported by the stream, which counts the others
                for place, (userid, itemid) in enumerate(zip(batch.userids, batch.itemids, strict=True)):
                    if userid not in of_user:
                        continue
                    offset = int(batch.offset[place])
                    logged = LoggedInput(batch.partition, offset, userid, itemid, batch.rows[place])
                    known = logged.offset < read.get(logged.partition, 0)
                    if known and (logged.partition, logged.offset) not in sample.broken:
                        _take(logged, of_pair if logged.itemid in sample.items else of_user[logged.userid])
    finally:
        log.close()
    return [*of_pair, *(logged for some in of_user.values() for logged in some)]


def _take(logged: LoggedInput, latest: deque[LoggedInput]) -> None:
    """Keep an input among the latest, in the place of one of the same event.

    An event that a worker could not commit, as partitions were added to the log, is logged again with the counts of the
    shards that there are since.
    """
    place = logged.partition, logged.offset
    for before in [each for each in latest if (each.partition, each.offset) == place]:
        latest.remove(before)
    latest.append(logged)


def expected_row(schema: Schema, oracle: Oracle, logged: LoggedInput, with_item: bool) -> npt.NDArray[np.float32]:
    """The dense input [columns] before an event, from the oracle's counts; without the item's where it has none."""
    counts = oracle.user_counts(logged.userid, logged.offset - 1)
    user = {name: np.array([counts[name]], dtype=np.int64) for name in schema.user_columns}
    known = oracle.catalogue(logged.itemid, logged.partition, logged.offset)
    values = [_value(known[attribute.name]) for attribute in schema.item_attributes]
    table = ItemTable(schema, {logged.itemid: schema.item(logged.itemid, "", values)})
    n, likes = oracle.item_before(logged.itemid, logged.partition, logged.offset) if with_item else (0, 0)
    item = table.at(*(np.array([value], dtype=np.int64) for value in (0, n, likes)))
    row: npt.NDArray[np.float32] = dense(schema, user, item)[0]
    return row


def _value(value: ItemValue | list[int]) -> ItemValue:
    """The value of an attribute as items have it."""
    return tuple(value) if isinstance(value, list) else value
