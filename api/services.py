"""The services behind the routes of the API, and their connections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from api.answers import Accepted
from api.ingest import Ingest
from api.live import Follower
from api.log_watch import LogWatch
from api.metrics import Metrics
from api.positions import LogEnds, Waits
from api.recommend import Answer, ListStores, Recommender
from features import Event, Schema
from settings import Settings
from stores import DriftStore, Models, Profiles, ToldOffsets, connect
from stores.elasticsearch import ItemIndex


@dataclass(frozen=True)
class Services:
    """The services behind the routes."""

    settings: Settings
    drift: DriftStore
    follower: Follower
    recommender: Recommender
    ingest: Ingest
    log_watch: LogWatch
    ends: LogEnds
    told: ToldOffsets
    index: ItemIndex
    models: Models
    metrics: Metrics

    @property
    def profiles(self) -> Profiles:
        """The users of the live generation of the state."""
        return self.follower.profiles

    @classmethod
    def of(cls, settings: Settings) -> Services:
        """All parts; connections are made when they are first used."""
        follower = Follower(settings)
        index = ItemIndex(settings.elasticsearch)
        models = Models(settings.triton)
        log_watch = LogWatch(settings, lambda: follower.profiles, lambda: follower.appending)
        ends = LogEnds(settings.kafka, lambda: follower.appending.partitions)
        told = ToldOffsets(lambda: follower.profiles)
        waits = Waits(lambda: follower.profiles, told, ends, settings.api.threads, settings.api.after_timeout_s)
        stores = ListStores(index, models)
        metrics = Metrics()
        recommender = Recommender(settings, follower, stores, waits, log_watch, metrics.took)
        ingest = Ingest(
            settings.kafka,
            lambda: follower.appending,
            log_watch,
            timeout_s=5.0,
            max_future_s=settings.stream.max_future_s,
        )
        return cls(
            settings=settings,
            drift=DriftStore(connect(settings.redis)),
            follower=follower,
            recommender=recommender,
            ingest=ingest,
            log_watch=log_watch,
            ends=ends,
            told=told,
            index=index,
            models=models,
            metrics=metrics,
        )

    def note(self, schema: Schema, events: Sequence[Event], accepted: Sequence[Accepted]) -> None:
        """Note that events were appended to the log."""
        for event, position in zip(events, accepted, strict=True):
            self.ends.note(position.partition, position.offset)
            self.metrics.events.labels(schema.codes.type(event.code)).inc()

    def note_answer(self, answer: Answer) -> None:
        """Note that a list was made, and what it was made without."""
        for store in answer.degraded:
            self.metrics.degraded.labels(store).inc()
        if answer.fallback:
            self.metrics.fallback.labels(answer.fallback).inc()

    def close(self) -> None:
        """Close the connections."""
        self.follower.stop()
        self.log_watch.stop()
        self.ingest.close()
        self.ends.close()
        self.told.close()
        self.index.close()
        self.models.close()
