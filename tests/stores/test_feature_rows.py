"""Rows of features are written and read as Feast itself writes and reads them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Int64List, Value

from compat.feast_rows import Entity, row_key
from features.repository import USER_SERVICE
from features.rows import USER_VIEW, user_row_time
from settings import Settings
from stores import connect
from stores.feast.feature_store import Features
from stores.redis.connection import Client
from stores.redis.generations import FIRST, project_of
from tests.movielens import SCHEMA

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
def client(redis: Settings) -> Client:
    for name in (FIRST, "g2"):
        Features(redis, SCHEMA, name).delete_all()
    return connect(redis.redis)


def row(schema_fields: Mapping[str, int], version: int, ts: int = 1000) -> dict[str, int | float | list[int]]:
    """A row of a user with a value of its own in each field."""
    values: dict[str, int | float | list[int]] = {
        name: list(range(version, version + length)) if length > 1 else place * version
        for place, (name, length) in enumerate(schema_fields.items())
    }
    return values | {"version": version, "last_ts": ts}


def feast_writes(features: Features, rows: list[tuple[Entity, dict[str, int | float | list[int]]]]) -> None:
    """Write rows by Feast's own writer."""
    data = [
        (
            EntityKey(
                join_keys=["userid"],
                entity_values=[Value(string_val=entity) if isinstance(entity, str) else Value(int64_val=entity)],
            ),
            {
                name: Value(int64_list_val=Int64List(val=value))
                if isinstance(value, list)
                else (Value(double_val=value) if isinstance(value, float) else Value(int64_val=value))
                for name, value in of_entity.items()
            },
            user_row_time(of_entity),
            None,
        )
        for entity, of_entity in rows
    ]
    store = features.store
    store._get_provider().online_write_batch(store.config, store.get_feature_view(USER_VIEW), data, None)


@pytest.mark.parametrize("second", [1, 3, 5])
def test_rows_are_the_bytes_that_feast_writes_and_as_late_as_feast_keeps_them(
    client: Client, redis: Settings, second: int
) -> None:
    ours, feasts = Features(redis, SCHEMA, FIRST), Features(redis, SCHEMA, "g2")
    fields = {field.name: field.length for field in SCHEMA.user_fields}
    first = [(7, row(fields, 3)), (8, row(fields, 0, 0)), (9, row(fields, 2**40))]
    # Earlier than the stored one, the same, and later; of one entity, two in a batch.
    later = [(7, row(fields, second)), (8, row(fields, 1, 0)), (10, row(fields, 2)), (10, row(fields, second))]
    for rows in (first, later):
        ours.write_users(rows)
        feast_writes(feasts, [*rows])
    for entity in (7, 8, 9, 10):
        mine = client.hgetall(row_key(project_of(redis.feast.project, FIRST), "userid", entity))
        assert mine == client.hgetall(row_key(project_of(redis.feast.project, "g2"), "userid", entity))
        assert mine[b"_ts:" + USER_VIEW.encode()]
    assert ours.users([7])[7]["version"] == max(second, 3)


def test_a_number_with_a_point_is_written_as_one(client: Client, redis: Settings) -> None:
    ours, feasts = Features(redis, SCHEMA, FIRST), Features(redis, SCHEMA, "g2")
    fields = {field.name: field.length for field in SCHEMA.user_fields}
    with_point = row(fields, 1) | {next(iter(fields)): 0.1}
    ours.write_users([(1, with_point)])
    feast_writes(feasts, [(1, with_point)])
    keys = [row_key(project_of(redis.feast.project, name), "userid", 1) for name in (FIRST, "g2")]
    assert client.hgetall(keys[0]) == client.hgetall(keys[1])
    assert user_row_time(with_point) == EPOCH + timedelta(seconds=1000, microseconds=1)


def test_rows_are_read_as_feast_reads_them(client: Client, redis: Settings) -> None:
    features = Features(redis, SCHEMA, FIRST)
    fields = {field.name: field.length for field in SCHEMA.user_fields}
    some = dict(list(row(fields, 4).items())[::2]) | {"version": 4, "last_ts": 1000}
    features.write_users([(1, row(fields, 3)), (2, some), (4, row(fields, 2**40))])
    # A value that is none, and Feast's null, which it gives as 0.
    key = row_key(project_of(redis.feast.project, FIRST), "userid", 4)
    nothing = {Value().SerializeToString(), Value(null_val=0).SerializeToString()}
    empty = [field for field in client.hkeys(key) if not field.startswith(b"_ts")][:2]
    client.hset(key, mapping=dict(zip(empty, sorted(nothing), strict=True)))
    users = [1, 2, 3, 4]
    service = features.store.get_feature_service(USER_SERVICE)
    columns = features.store.get_online_features(service, entity_rows={"userid": users}).to_dict()
    expected = {
        userid: {name: columns[name][place] for name in fields if columns[name][place] is not None}
        for place, userid in enumerate(users)
    }
    assert features.users(users) == {userid: of_user for userid, of_user in expected.items() if of_user}
    # What is given may be changed: it is nobody else's.
    changed = features.users([1])[1]
    for value in changed.values():
        if isinstance(value, list):
            value.append(0)
    assert features.users([1])[1] == expected[1]
