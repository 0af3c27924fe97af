"""One module for each server that we talk to: Kafka, Redis, Feast, Elasticsearch, Triton. All I/O stands here.

`stores.feature_store` and `stores.catalogue` are imported by name: Feast takes seconds to load, and the client of
Elasticsearch nearly one.
"""

from stores.drift import Alarm, DriftNow, DriftStore, DriftUpdate
from stores.errors import (
    Gap,
    LockLost,
    LockTaken,
    LogError,
    NotPublished,
    ShardLost,
    Skipped,
    StoreError,
    Unreachable,
    Unreadable,
)
from stores.events import Log, Logged, delete_topics, ensure_topics, partition_of, producer, understand
from stores.feature_log import DriftTopics, FeatureBatch, Sampled
from stores.kafka_client import abandon
from stores.models import ENCODER, RANKER, Models, Ranking
from stores.profiles import Profiles
from stores.publish_lock import PublishLock
from stores.published import LiveRun, Published, Snapshot
from stores.redis import connect
from stores.shard_transaction import Changes, ShardTransaction
from stores.shard_view import ShardView, view_shard

__all__ = [
    "ENCODER",
    "RANKER",
    "Alarm",
    "Changes",
    "DriftNow",
    "DriftStore",
    "DriftTopics",
    "DriftUpdate",
    "FeatureBatch",
    "Gap",
    "LiveRun",
    "LockLost",
    "LockTaken",
    "Log",
    "LogError",
    "Logged",
    "Models",
    "NotPublished",
    "Profiles",
    "PublishLock",
    "Published",
    "Ranking",
    "Sampled",
    "ShardLost",
    "ShardTransaction",
    "ShardView",
    "Skipped",
    "Snapshot",
    "StoreError",
    "Unreachable",
    "Unreadable",
    "abandon",
    "connect",
    "delete_topics",
    "ensure_topics",
    "partition_of",
    "producer",
    "understand",
    "view_shard",
]
