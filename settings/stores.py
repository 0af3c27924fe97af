"""The servers: where each is, who may use it, and its limits."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from settings import local
from settings.section import Section


class KafkaSettings(Section):
    """Kafka: the log of events."""

    bootstrap: str = Field("127.0.0.1:9092", description="host:port of a broker; separate several with commas")
    controller_port: int = Field(9093, description="port of the KRaft controller that `reelstream up` starts")
    topic: str = Field("ratings", description="topic of the rating events")
    dead_topic: str = Field("ratings.dead", description="topic of the dead letters")
    features_topic: str = Field("ratings.features", description="topic of the ranker's inputs before each event")
    features_keep_h: int = Field(168, ge=1, description="retention of features_topic in hours")
    alarms_topic: str = Field("drift.alarms", description="topic of the drift alarms")
    partitions: int = Field(
        8,
        ge=1,
        description="partitions of the topic, each a shard of the state in Redis; `reelstream rebuild` adds partitions",
    )
    segment_mb: int = Field(
        16,
        ge=1,
        le=1024,
        description="size in MiB of the files in which Kafka keeps a partition of the topic; trimming frees the disk "
        "file by file, all but the newest of each partition",
    )
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
    quick_compiler: bool = Field(
        False,
        description="let Java compile that node quickly and not thoroughly, which takes less processor time where it "
        "runs for minutes only",
    )


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


class ServersSettings(Section):
    """The servers that `reelstream up` starts on this machine."""

    ready_timeout_s: float = Field(120.0, gt=0, description="seconds to wait for every component to answer")
    stop_timeout_s: float = Field(20.0, gt=0, description="seconds for a component to stop before it is killed")
    min_free_disk_mb: int = Field(2048, ge=0, description="refuse to start with less free disk than this, in MiB")
    min_free_memory_mb: int = Field(2048, ge=0, description="refuse to start with less free memory than this, in MiB")
