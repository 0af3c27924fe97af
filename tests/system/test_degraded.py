"""A request is answered while a store is down, with the next best list, and the answer names what is missing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

import servers
from api.appending import Appending
from api.ingest import Ingest
from api.log_watch import LogWatch
from api.messages import RecommendationRequest
from api.recommend import Recommender
from api.services import Services
from features import Event
from stores import Unreachable
from stores.feast.feature_store import Features
from stores.kafka.producer import Record, Sender
from tests.movielens import SCHEMA, encode
from tests.polling import until
from tests.system.conftest import System


@contextmanager
def without(system: System, *stores: str) -> Iterator[None]:
    """The system with some stores stopped; whole again afterwards."""
    servers.stop(system.settings, list(stores))
    try:
        yield
    finally:
        servers.start(system.settings, list(stores))
        until(lambda: not system.rec(userid=system.events[0].userid, size=1)["degraded"])


def sources_of(answer: dict) -> list[set[str]]:
    return [set(item["explain"]["sources"]) for item in answer["item_list"]]


def test_without_redis_the_list_is_what_is_popular(system: System) -> None:
    userid = system.events[0].userid
    system.wait_for_items()
    popular = system.rec(userid=999_999, size=10)["item_list"]
    with without(system, "redis"):
        answer = system.rec(userid=userid, size=10)
        assert answer["degraded"] == ["redis"]
        assert answer["fallback"] == "profile_unavailable"
        assert answer["as_of"] is None
        assert answer["item_list"] == popular
        session = system.rec(history=[{"itemid": popular[0]["itemid"]}], size=10)
        assert (session["degraded"], session["fallback"]) == ([], None)
        assert system.get(f"/users/{userid}").status_code == 503
        assert system.get(f"/users/{userid}").headers["Retry-After"] == "1"
        until(lambda: not system.get("/health/ready").json()["checks"]["redis"])
        assert system.get("/health/ready").status_code == 503
        assert system.get("/health/live").status_code == 200


def test_without_elasticsearch_items_are_recalled_from_memory_and_ranked(system: System) -> None:
    userid = system.events[0].userid
    rated = set(system.profiles.profile(userid)[1])
    with without(system, "elasticsearch"):
        answer = system.rec(userid=userid, size=40, explain=True)
        assert answer["degraded"] == ["elasticsearch"]
        assert answer["fallback"] is None
        assert len(answer["item_list"]) == 40
        assert not rated & {item["itemid"] for item in answer["item_list"]}
        assert {"terms"} in sources_of(answer)
        assert {"popular"} in sources_of(answer)
        assert all("like" in item["explain"] for item in answer["item_list"])
        assert system.get("/health/ready").status_code == 503


def test_without_triton_items_are_recalled_by_terms_and_keep_that_order(system: System) -> None:
    event = system.events[0]
    profile, *_ = system.profiles.profile(event.userid)
    assert profile is not None
    met = {itemid for _, itemid, _ in profile.recent}
    another = next(itemid for itemid in system.catalogue_items() if itemid not in met)
    # With another item the user's vector is another, which nobody has asked for.
    system.send_events([replace(event, itemid=another, ts=profile.last_ts + 1)])
    system.wait()
    with without(system, "triton"):
        answer = system.rec(userid=event.userid, size=10, explain=True)
        assert answer["degraded"] == ["triton"]
        scores = [item["explain"]["sources"]["terms"] for item in answer["item_list"]]
        assert len(scores) == 10
        assert scores == sorted(scores, reverse=True)
        assert not any("like" in item["explain"] for item in answer["item_list"])
        assert system.get("/health/ready").json()["checks"]["triton"] is False


def test_without_triton_items_are_recalled_by_a_vector_that_is_known_still(system: System) -> None:
    userid = system.events[1].userid
    assert system.rec(userid=userid, size=10)["degraded"] == []
    with without(system, "triton"):
        answer = system.rec(userid=userid, size=10, explain=True)
    assert answer["degraded"] == ["triton"]
    scores = [item["explain"]["sources"]["vector"] for item in answer["item_list"]]
    assert len(scores) == 10 and scores == sorted(scores, reverse=True)
    assert not any("like" in item["explain"] for item in answer["item_list"])


def test_without_both_the_list_is_made_from_memory(system: System) -> None:
    with without(system, "triton", "elasticsearch"):
        answer = system.rec(userid=system.events[0].userid, size=10, explain=True)
        assert sorted(answer["degraded"]) == ["elasticsearch", "triton"]
        assert sources_of(answer) == [{"terms"}] * 10


def test_without_the_feature_store_the_last_known_attributes_are_used(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API's feature store is the Redis that holds the profiles, so that here it is given one that is not there."""
    parts = Services.of(system.settings)
    try:
        parts.follower.look()
        userid = system.events[0].userid
        whole = parts.recommender.recommend(RecommendationRequest(userid=userid, size=20, explain=True))
        assert whole.degraded == []
        redis = system.settings.redis.model_copy(update={"port": 1})
        nowhere = Features(system.settings.model_copy(update={"redis": redis}), SCHEMA)
        recommender: Recommender = parts.recommender
        live = parts.follower.require()
        monkeypatch.setattr(parts.follower, "live", replace(live, features=nowhere))
        answer = recommender.recommend(RecommendationRequest(userid=userid, size=20, explain=True))
        assert answer.degraded == ["feast"]
        assert answer.items == whole.items
        row = live.features.users([userid])[userid]
        names = [attribute.name for attribute in SCHEMA.user_attributes]
        assert [*live.data_set.attributes.of(userid).codes] == [row[name] for name in names]
    finally:
        parts.ingest.close()
        parts.index.close()
        parts.models.close()


def test_without_kafka_a_rating_is_refused_in_time_with_what_to_do(system: System) -> None:
    rating = {"userid": 5, "itemid": system.catalogue_items()[0], "rating": 5, "ts": 1000}
    servers.stop(system.settings, ["kafka"])
    try:
        began = time.monotonic()
        answer = system.post("/ratings", rating)
        assert time.monotonic() - began < 15
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "1"
        assert "send it again with ts 1000" in answer.json()["error"]
        assert system.rec(userid=system.events[0].userid, size=1)["degraded"] == []
    finally:
        servers.start(system.settings, ["kafka"])
    until(lambda: system.post("/ratings", rating).status_code == 202, 60)
    system.wait()


def test_a_producer_that_gave_up_a_record_is_replaced_and_leaves_no_thread_behind(system: System) -> None:
    kafka = system.settings.kafka
    event = Event(5, system.catalogue_items()[0], 5, 1000)
    record = Record(*encode(event))
    before = threading.active_count()
    appending = Appending(kafka.partitions)
    log_watch = LogWatch(system.settings, lambda: system.profiles, lambda: appending)
    ingest = Ingest(kafka, lambda: appending, log_watch, timeout_s=0.5, max_future_s=86_400.0)
    sender = Sender(kafka, within_s=1.0)
    sends: list[Callable[[], object]] = [
        lambda: ingest.send(SCHEMA.events, [event]),
        lambda: sender(kafka.topic, [record]),
    ]
    for send in sends:
        send()
    servers.stop(system.settings, ["kafka"])
    try:
        for send in sends:
            for _ in range(2):
                with pytest.raises(Unreachable):
                    send()
    finally:
        servers.start(system.settings, ["kafka"])
    for send in sends:
        until(lambda send=send: [send()], not_yet=(Unreachable,))
    assert threading.active_count() <= before + 2
    ingest.close()
    system.wait()
