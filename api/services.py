"""The services behind the routes of the API, and their connections."""

from __future__ import annotations

from dataclasses import dataclass

from api.ingest import Ingest
from api.live import Follower
from api.log_watch import LogWatch
from api.metrics import Metrics
from api.positions import LogEnds, Waits
from api.recommend import ListStores, Recommender
from settings import Settings
from stores import DriftStore, Models, Profiles, Published, connect
from stores.elasticsearch import ItemIndex
from stores.feast.feature_store import Features


@dataclass(frozen=True)
class Services:
    """The services behind the routes."""

    settings: Settings
    profiles: Profiles
    drift: DriftStore
    follower: Follower
    recommender: Recommender
    ingest: Ingest
    log_watch: LogWatch
    ends: LogEnds
    index: ItemIndex
    models: Models
    metrics: Metrics

    @classmethod
    def of(cls, settings: Settings) -> Services:
        """All parts; connections are made when they are first used."""
        profiles = Profiles(connect(settings.redis), settings.kafka.topic, settings.kafka.partitions)
        features = Features(settings)
        follower = Follower(settings, Published(profiles.client), features)
        index = ItemIndex(settings.elasticsearch)
        models = Models(settings.triton)
        log_watch = LogWatch(settings, profiles)
        ends = LogEnds(settings.kafka)
        waits = Waits(profiles, ends, settings.api.threads, settings.api.after_timeout_s)
        stores = ListStores(profiles, features, index, models)
        recommender = Recommender(settings, follower, stores, waits, log_watch)
        ingest = Ingest(settings.kafka, log_watch, timeout_s=5.0, max_future_s=settings.stream.max_future_s)
        return cls(
            settings=settings,
            profiles=profiles,
            drift=DriftStore(profiles.client),
            follower=follower,
            recommender=recommender,
            ingest=ingest,
            log_watch=log_watch,
            ends=ends,
            index=index,
            models=models,
            metrics=Metrics(),
        )

    def close(self) -> None:
        """Close the connections."""
        self.follower.stop()
        self.log_watch.stop()
        self.ingest.close()
        self.ends.close()
        self.index.close()
        self.models.close()
