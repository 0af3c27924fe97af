"""Settings of what reelstream runs: the stream, drift, the API, recall, data, training and publishing."""

from __future__ import annotations

from pydantic import Field, SecretStr

from settings.section import Section


class StreamSettings(Section):
    """The stream worker: Faust agents that fold events into state."""

    host: str = Field("127.0.0.1", description="address on which a worker serves health and metrics")
    workers: int = Field(
        1, ge=1, le=16, description="number of workers that `reelstream up` starts; they share the partitions"
    )
    batch_events: int = Field(500, ge=1, description="maximum number of events in a batch")
    batch_within_s: float = Field(
        0.001, gt=0, description="maximum number of seconds to wait for more events after the first one of a batch"
    )
    items_every_s: float = Field(
        1.0, gt=0, description="least interval between publications of the item counters, in seconds"
    )
    session_timeout_s: float = Field(
        7.0, ge=6, description="seconds of silence after which a worker's partitions are assigned to others"
    )
    metrics_port: int = Field(
        6066, description="metrics port of the first worker; each further worker uses the next port"
    )
    retry_max_s: float = Field(5.0, gt=0, description="maximum pause between two attempts to reach a store, in seconds")
    max_future_s: float = Field(
        86_400.0,
        ge=0,
        description="seconds by which the ts of an event may exceed its append time; beyond that, it becomes a dead "
        "letter. `verify` applies the current value to the whole log",
    )
    inactive_days: float = Field(
        0.0,
        ge=0,
        description="days without an event of a user, up to the newest event of the user's partition, after which the "
        "profile and the seen filter are moved from Redis into the state folder; 0: never",
    )


class CatalogueSettings(Section):
    """The catalogue, which changes while the system serves."""

    waiting_events: int = Field(
        10_000,
        ge=0,
        description="events in a partition that may wait for items which are not in the catalogue yet; beyond that, "
        "one becomes a dead letter. `verify` applies the current value to the whole log",
    )
    auto_insert: bool = Field(
        False,
        description="add an item without attributes as soon as an event waits for it, in place of waiting for a change "
        "that brings it",
    )


class ArchiveSettings(Section):
    """The archive: the log and the offline history as files in the state folder."""

    enabled: bool = Field(False, description="have `reelstream up` start the archiver, which follows the log")
    events: int = Field(
        50_000, ge=1, description="offsets in a file; the archiver writes one as soon as so many wait in a partition"
    )
    minutes: float = Field(
        60.0,
        gt=0,
        description="age of a partition's newest file, in minutes, after which the archiver writes what waits, however "
        "little that is",
    )
    trim: bool = Field(
        False,
        description="have the archiver delete from the log what is folded and archived, as `reelstream archive --trim` "
        "does",
    )
    keep_events: int = Field(
        10_000,
        ge=1,
        description="newest offsets of each partition that trimming always leaves in the log, so that a Redis which "
        "lost its last writes can be caught up from there",
    )


class ErasureSettings(Section):
    """The erasure of users: at once from the state, later from everything else."""

    within_days: float = Field(
        7.0,
        ge=0,
        description="days after an erasure from which on `reelstream erase` deletes the user's events, dead letters "
        "and ratings of the offline history",
    )
    daily: bool = Field(True, description="have the archiver do so once a day")


class DriftSettings(Section):
    """Drift: live features, labels and quality against those at training."""

    enabled: bool = Field(True, description="log the ranker's inputs and monitor them for drift")
    window: int = Field(1000, ge=100, description="events in a window")
    strides: int = Field(4, ge=1, le=20, description="checks of all series per window")
    stride_s: float = Field(300.0, gt=0, description="seconds after which a check is made even if events are rare")
    patience: int = Field(4, ge=1, description="consecutive normal checks that close an alarm")
    false_alarms_per_week: float = Field(
        1.0, gt=0, description="budget of false alarms per week for the whole system, at any event rate"
    )
    within_s: float = Field(
        0.25, gt=0, description="seconds to wait for more messages after the first one of a batch of the feature log"
    )
    scored_per_s: float = Field(
        20.0,
        ge=0,
        description="maximum events per second and worker that the ranker scores before they are learned from",
    )
    listed_per_s: float = Field(
        2.0,
        ge=0,
        description="maximum scored, liked events per second for which the list is made that would have been served",
    )
    spoil_features: bool = Field(
        False,
        description="let the header `broken` of an event spoil a feature in the feature log, as the scenarios broken-* "
        "of `reelstream replay` ask; a test of drift detection, to be left off otherwise",
    )


class ApiSettings(Section):
    """The API: recommendation, ingest, health, metrics."""

    host: str = Field("127.0.0.1", description="address on which the API listens")
    port: int = Field(8080, description="port on which the API listens")
    hosts: str = Field(
        "localhost, 127.0.0.1, ::1",
        description="host names that the API answers to, and whose pages may use it; others are refused (DNS "
        "rebinding). A name without a port allows every port. The address of the connection is always allowed",
    )
    workers: int = Field(1, ge=1, description="number of processes; each holds the item features and a gRPC channel")
    threads: int = Field(8, ge=1, description="requests that each process handles concurrently")
    connections: int = Field(
        4000,
        ge=16,
        description="maximum connections per process; beyond it, the client that has kept the process waiting longest "
        "is disconnected",
    )
    client_timeout_s: float = Field(
        10.0, gt=0, description="seconds that a client may take to send a request, or to read 64 KiB of an answer"
    )
    tokens: SecretStr = Field(
        SecretStr(""),
        description="tokens with their scopes, for example `read+write:TOKEN read:OTHER`; scopes: read, write, metrics "
        "and admin (all). Without tokens, the API is open on the loopback address and closed beyond it",
    )
    token: SecretStr = Field(SecretStr(""), description="token that `reelstream rec`, `rate` and `bench` send")
    queue_s: float = Field(
        1.0, gt=0, description="seconds that a request may wait for a thread before it is refused with 503"
    )
    breaker_failures: int = Field(
        3, ge=1, description="consecutive failures after which a store is not asked for a while"
    )
    breaker_pause_s: float = Field(2.0, gt=0, description="seconds for which the store is not asked")
    after_timeout_s: float = Field(2.0, gt=0, description="maximum wait for the position in `after`, in seconds")
    max_body_kb: int = Field(256, ge=1, description="maximum size of a request body in KiB")
    max_size: int = Field(200, ge=1, description="maximum `size` of a list")
    max_history: int = Field(1000, ge=1, description="maximum number of events in `history`, and of items in `exclude`")
    items_refresh_s: float = Field(
        60.0, gt=0, description="interval between full reads of the item features, in seconds"
    )


class RecallSettings(Section):
    """Recall: the number of candidates from each source."""

    vector_k: int = Field(200, ge=1, le=1000, description="candidates from the nearest vectors")
    term_k: int = Field(
        0,
        ge=0,
        le=1000,
        description="additional candidates from the preferred terms, which made no list better (docs/evaluation.md); "
        "without vectors, all candidates come from the terms in any case",
    )
    num_candidates: int = Field(
        600,
        ge=1,
        le=10_000,
        description="vectors that a search visits; up to 10,000 items, all are visited",
    )
    half_life_days: float = Field(30.0, gt=0, description="half-life of recent popularity, in days of event time")
    explore_share: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="share of the positions of a list, never the first, that goes to items with fewer than 20 events; "
        "`reelstream evaluate` measures its cost",
    )


class DataSettings(Section):
    """The data set."""

    dataset: str = Field(
        "",
        description="description of the data set: a .toml file (docs/datasets.md), or the name of one in datasets/; "
        "empty: the one that `reelstream demo` used, or movielens-1m",
    )
    folder: str = Field(
        "",
        description="folder with the files of the data set; empty: ML1M_DIR for MovieLens-1M, or the folder that the "
        "description names, or that `reelstream demo` used, or one in the state folder",
    )
    url: str = Field(
        "https://files.grouplens.org/datasets/movielens/ml-1m.zip",
        description="address of the public zip of MovieLens-1M",
    )
    md5: str = Field("c4d9eecfca2ab87c1945afe126590906", description="MD5 of the zip, as published")
    online_events: int = Field(10, ge=1, description="last events of each user that are held out and replayed")
    train_share: float = Field(
        0.8, gt=0, lt=1, description="share of each user's other events that the models are trained on"
    )


class TrainSettings(Section):
    """Training: the sequence encoders and the ranker."""

    seed: int = Field(7, description="seed of every random choice")
    threads: int = Field(0, ge=0, description="CPU threads; 0 means all")
    history: int = Field(100, ge=1, le=100, description="events that the encoder sees")
    dim: int = Field(64, ge=4, description="width of the encoder and of the item vectors")
    layers: int = Field(2, ge=1, description="transformer layers")
    heads: int = Field(2, ge=1, description="attention heads")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout of the encoder")
    encoders: int = Field(2, ge=1, le=8, description="number of encoders, trained in parallel and served as one")
    encoder_epochs: int = Field(8, ge=1, description="passes of an encoder over the training events")
    encoder_patience: int = Field(
        2, ge=1, description="epochs without a better validation NDCG@10 after which an encoder stops"
    )
    refit_epochs: int = Field(4, ge=0, description="additional passes over all offline events at the end")
    encoder_batch: int = Field(16, ge=1, description="windows per batch of the encoder")
    encoder_rate: float = Field(7e-3, gt=0, description="learning rate of the encoder")
    ranker_models: int = Field(2, ge=1, le=8, description="number of models of P(like) whose mean is served")
    ranker_epochs: int = Field(4, ge=1, description="passes of a model of P(like) over the training events")
    ranker_batch: int = Field(2048, ge=1, description="events per batch of P(like)")
    ranker_rate: float = Field(5e-3, gt=0, description="learning rate of P(like)")


QUICK = {"encoders": 1, "encoder_epochs": 3, "refit_epochs": 1, "ranker_models": 1, "ranker_epochs": 3}
"""Settings of a quick training: a model for exploration in a quarter of the time, not the best one."""


class PublishSettings(Section):
    """Publishing: the conditions for a run to go live."""

    margin: float = Field(
        0.02,
        ge=0,
        lt=1,
        description="refuse a run whose validation NDCG@10 is lower than the live run's by more than this share",
    )
    lock_s: float = Field(
        30.0, ge=1, description="seconds after which the lock of a dead publish expires; a running one renews it"
    )
    idle_priority: bool = Field(
        True,
        description="run `publish`, and load its models into Triton, on idle processors only, so that requests go "
        "first; set to false where other programs leave no processor idle",
    )
