"""The settings as pydantic models: one class for each part, one field for each setting."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from settings import local
from settings.errors import SettingsError


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    _state: Path | None = PrivateAttr(None)
    """The state folder, where the server that `reelstream up` starts keeps its password or its socket."""


class KafkaSettings(Section):
    """Kafka: the log of events."""

    bootstrap: str = Field("127.0.0.1:9092", description="host:port of a broker; separate several with commas")
    controller_port: int = Field(9093, description="port of the KRaft controller that `reelstream up` starts")
    topic: str = Field("ratings", description="topic of the rating events")
    dead_topic: str = Field("ratings.dead", description="topic of the dead letters")
    features_topic: str = Field("ratings.features", description="topic of the ranker's inputs before each event")
    features_keep_h: int = Field(168, ge=1, description="retention of features_topic in hours")
    alarms_topic: str = Field("drift.alarms", description="topic of the drift alarms")
    partitions: int = Field(8, ge=1, description="partitions of the topic; each one is a shard of the state in Redis")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
    )
    ca_file: str = Field("", description="PEM file of the authority that signed the brokers' certificates")
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    username: str = Field(
        "", description="SASL user; empty: the one that `reelstream up` creates, with a password in the state folder"
    )
    password: SecretStr = Field(SecretStr(""), description="SASL password")
    timeout_s: float = Field(5.0, gt=0, description="timeout in seconds for a broker to answer a new client")

    @property
    def login(self) -> tuple[str, str]:
        """User and password for SASL: those of the settings, or those of the broker that `reelstream up` starts."""
        if self.username:
            return self.username, self.password.get_secret_value()
        return local.USER, local.secret(self._state, "kafka")


class RedisSettings(Section):
    """Redis (or Valkey): profiles, counters, offsets and Feast's online store."""

    host: str = Field("127.0.0.1", description="host of the server")
    port: int = Field(6379, description="port of the server")
    username: str = Field("", description="user, if the server requires one")
    password: SecretStr = Field(
        SecretStr(""),
        description="password, if the server requires one; empty: the one that `reelstream up` generates in the state "
        "folder, for a server on this machine",
    )
    tls: bool = Field(False, description="use TLS")
    ca_file: str = Field("", description="PEM file of the authority that signed the server's certificate")
    timeout_s: float = Field(1.0, gt=0, description="timeout of a command in seconds")
    max_memory_mb: int = Field(
        1024,
        ge=16,
        description="maximum size of the data in MiB, for the server that `reelstream up` starts; at the limit it "
        "refuses writes and the stream waits, so that nothing is lost",
    )

    @property
    def secret(self) -> str:
        """The password: that of the settings, or that of the server that `reelstream up` starts; empty without one."""
        given = self.password.get_secret_value()
        if given or self.username or self.tls or self.host not in local.LOOPBACK_NAMES:
            return given
        return local.secret(self._state, "redis")


class ElasticsearchSettings(Section):
    """Elasticsearch: the catalogue, searched by terms and vectors."""

    url: str = Field("http://127.0.0.1:9200", description="address of the cluster")
    transport_port: int = Field(9300, description="transport port of the node that `reelstream up` starts")
    username: str = Field("", description="user, if security is on")
    password: SecretStr = Field(SecretStr(""), description="password, if security is on")
    ca_file: str = Field("", description="PEM file of the authority that signed the server's certificate")
    alias: str = Field("items", description="alias of the live index; each run has an index of its own")
    timeout_s: float = Field(1.0, gt=0, description="timeout of a search in seconds")
    heap_mb: int = Field(512, ge=128, description="Java heap of the node that `reelstream up` starts, in MiB")


class TritonSettings(Section):
    """Triton: the user encoder and the ranker."""

    host: str = Field(
        "",
        description="host of the inference server; empty: the one that `reelstream up` starts, on a socket in the "
        "state folder",
    )
    grpc_port: int = Field(8001, description="gRPC port of that host")
    tls: bool = Field(False, description="use TLS")
    ca_file: str = Field("", description="PEM file of the authority that signed the server's certificate")
    timeout_s: float = Field(1.0, gt=0, description="timeout of an inference in seconds")
    load_timeout_s: float = Field(
        120.0, gt=0, description="seconds that publish waits for the server to load a version"
    )
    repository: str = Field(
        "", description="the stock model repository, which publish writes; empty: `models` in the state folder"
    )

    @property
    def address(self) -> str:
        """The address of the server, as gRPC takes it."""
        if self.host:
            return f"{self.host}:{self.grpc_port}"
        return f"unix:{local.triton_socket(self._state or Path())}"


class FeastSettings(Section):
    """Feast: user and item features, online store Redis."""

    project: str = Field("reelstream", description="name of the Feast project")
    host: str = Field("127.0.0.1", description="address that the Feast server listens on")
    port: int = Field(6566, description="port of the Feast server, for outside callers")
    hosts: str = Field(
        "",
        description="host names, separated by commas, that the Feast server answers to, in addition to localhost and "
        "addresses; others are refused",
    )
    registry: str = Field("", description="path of the registry file; empty: `feast/registry.db` in the state folder")


class StreamSettings(Section):
    """The stream worker: Faust agents that fold events into state."""

    host: str = Field("127.0.0.1", description="address on which a worker serves health and metrics")
    workers: int = Field(
        1, ge=1, le=16, description="number of workers that `reelstream up` starts; they share the partitions"
    )
    batch_events: int = Field(500, ge=1, description="maximum number of events in a batch")
    batch_within_s: float = Field(
        0.005, gt=0, description="seconds to wait for more events after the first one of a batch"
    )
    items_every_s: float = Field(
        1.0, gt=0, description="interval between publications of the item counters, in seconds"
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
    term_k: int = Field(100, ge=0, le=1000, description="additional candidates from the preferred genres and decades")
    num_candidates: int = Field(
        4000,
        ge=1,
        le=10_000,
        description="vectors that a search visits; up to 10,000 items, all are visited",
    )
    half_life_days: float = Field(30.0, gt=0, description="half-life of recent popularity, in days of event time")


class DataSettings(Section):
    """The ratings."""

    folder: str = Field(
        "",
        description="folder with ratings.dat, users.dat and movies.dat; empty: ML1M_DIR, or the folder that "
        "`reelstream demo` used, or `data` in the state folder",
    )
    url: str = Field(
        "https://files.grouplens.org/datasets/movielens/ml-1m.zip",
        description="address of the public zip",
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


class ServersSettings(Section):
    """The servers that `reelstream up` starts on this machine."""

    ready_timeout_s: float = Field(120.0, gt=0, description="seconds to wait for every component to answer")
    stop_timeout_s: float = Field(20.0, gt=0, description="seconds for a component to stop before it is killed")
    min_free_disk_mb: int = Field(2048, ge=0, description="refuse to start with less free disk than this, in MiB")
    min_free_memory_mb: int = Field(2048, ge=0, description="refuse to start with less free memory than this, in MiB")


class Settings(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(
        env_prefix="REELSTREAM_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    state_dir: Path = Field(Path(".reelstream"), description="folder for data, logs, models and process ids")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    elasticsearch: ElasticsearchSettings = ElasticsearchSettings()
    triton: TritonSettings = TritonSettings()
    feast: FeastSettings = FeastSettings()
    stream: StreamSettings = StreamSettings()
    drift: DriftSettings = DriftSettings()
    api: ApiSettings = ApiSettings()
    recall: RecallSettings = RecallSettings()
    data: DataSettings = DataSettings()
    train: TrainSettings = TrainSettings()
    publish: PublishSettings = PublishSettings()
    servers: ServersSettings = ServersSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        path = Path(os.environ.get("REELSTREAM_CONFIG", "reelstream.toml"))
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=path))

    @model_validator(mode="after")
    def _share_the_state_folder(self) -> Settings:
        for name in ("kafka", "redis", "triton"):
            part = getattr(self, name).model_copy()
            part._state = self.state
            self.__dict__[name] = part
        return self

    def quick(self) -> Settings:
        """The same with a quick training."""
        return self.model_copy(update={"train": self.train.model_copy(update=QUICK)})

    @property
    def state(self) -> Path:
        """The state folder as an absolute path."""
        return self.state_dir.expanduser().resolve()

    @property
    def data_folder(self) -> Path:
        """The folder with ratings.dat, users.dat and movies.dat."""
        named = self.data.folder or os.environ.get("ML1M_DIR", "") or self._remembered_data_folder()
        return Path(named).expanduser().resolve() if named else self.own_data_folder

    @property
    def own_data_folder(self) -> Path:
        """The data folder where none is named or remembered: downloads and generated ratings go there."""
        return self.state / "data"

    @property
    def data_folder_note(self) -> Path:
        """The file that remembers the data folder between commands."""
        return self.state / "data-folder"

    def remember_data_folder(self) -> None:
        """Let later commands of this state folder use today's data folder, whatever shell they run in."""
        self.state.mkdir(parents=True, exist_ok=True)
        new = self.data_folder_note.with_suffix(".new")
        new.write_text(f"{self.data_folder}\n")
        new.replace(self.data_folder_note)

    def _remembered_data_folder(self) -> str:
        try:
            return self.data_folder_note.read_text().rstrip("\n")
        except FileNotFoundError:
            return ""

    @property
    def model_repository(self) -> Path:
        """The stock Triton model repository that `publish` writes."""
        return Path(self.triton.repository).resolve() if self.triton.repository else self.state / "models"

    @property
    def log_heads(self) -> Path:
        """The folder with the furthest records of the log that anyone on this machine has seen."""
        return self.state / "log-heads"

    @property
    def feast_registry(self) -> Path:
        """The file of Feast's registry."""
        return Path(self.feast.registry).resolve() if self.feast.registry else self.state / "feast" / "registry.db"

    @property
    def runs(self) -> Path:
        """The folder with one folder for each training run."""
        return self.state / "runs"


def load(**given: object) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: with one line that names the setting and the rule it breaks.
    """
    named = os.environ.get("REELSTREAM_CONFIG")
    if named and not Path(named).is_file():
        raise SettingsError(f"REELSTREAM_CONFIG names {named}, which is not a file; correct the path or unset it")
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"setting {where}: {first['msg']}; see reelstream.toml for its meaning") from None
    except ValueError as error:
        raise SettingsError(f"settings cannot be read: {error}") from None


def bearer(api: ApiSettings) -> dict[str, str]:
    """The header with which our own commands show their token to the API; none where they have none."""
    token = api.token.get_secret_value()
    return {"Authorization": f"Bearer {token}"} if token else {}
