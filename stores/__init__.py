"""All I/O: one module or subpackage per server.

    kafka/          the log and its check, dead letters, the feature log, producers, clients
    redis/          profiles, seen filters, counters and offsets; what is published; the state of drift
    feast/          feature rows, and the Feast server
    elasticsearch   the catalogue: recall by vector and by terms, with the parts of its search in item_search, its
                    documents in elasticsearch_documents, and its client and whole indices in elasticsearch_cluster
    triton          the models
    serving         the models and the index of a run, as `scoring` calls them
    run_items       vectors and weights of items for the index of a run
    packed_weights  weights of a user's terms as msgpack holds them
    archive/        the log and the offline history as files
    evicted         profiles of inactive users as files
    errors          errors of the stores

`stores.feast`, `stores.elasticsearch` and `stores.archive` are not imported here: Feast takes seconds to load, the
client of Elasticsearch nearly one, and PyArrow a moment.
"""

from compat.kafka_python import abandon
from stores.errors import (
    Closed,
    Gap,
    LockLost,
    LockTaken,
    LogError,
    NotPublished,
    OtherVersion,
    ShardLost,
    Skipped,
    StoreError,
    Unreachable,
    Unreadable,
)
from stores.kafka.feature_log import DriftTopics, FeatureBatch, Sampled
from stores.kafka.log import Log
from stores.kafka.producer import producer
from stores.kafka.record import Logged, decode_event, partition_of
from stores.kafka.topics import delete_topics, ensure_topics
from stores.redis.connection import connect
from stores.redis.drift import DriftStore
from stores.redis.generations import Generations, LiveGeneration, project_of
from stores.redis.known_counters import KnownCounters
from stores.redis.live import LiveRun, Snapshot
from stores.redis.profiles import Profiles
from stores.redis.publish_lock import PublishLock
from stores.redis.published import Published
from stores.redis.shard_state import ShardState, Wanted
from stores.redis.shard_transaction import Changes, ShardTransaction, Transaction
from stores.redis.shard_view import ShardView, view_shard
from stores.redis.state_stores import StateStores
from stores.redis.told_offsets import ToldOffsets
from stores.serving import Serving
from stores.triton import ENCODER, RANKER, Models

__all__ = [
    "ENCODER",
    "RANKER",
    "Changes",
    "Closed",
    "DriftStore",
    "DriftTopics",
    "FeatureBatch",
    "Gap",
    "Generations",
    "KnownCounters",
    "LiveGeneration",
    "LiveRun",
    "LockLost",
    "LockTaken",
    "Log",
    "LogError",
    "Logged",
    "Models",
    "NotPublished",
    "OtherVersion",
    "Profiles",
    "PublishLock",
    "Published",
    "Sampled",
    "Serving",
    "ShardLost",
    "ShardState",
    "ShardTransaction",
    "ShardView",
    "Skipped",
    "Snapshot",
    "StateStores",
    "StoreError",
    "ToldOffsets",
    "Transaction",
    "Unreachable",
    "Unreadable",
    "Wanted",
    "abandon",
    "connect",
    "decode_event",
    "delete_topics",
    "ensure_topics",
    "partition_of",
    "producer",
    "project_of",
    "view_shard",
]
