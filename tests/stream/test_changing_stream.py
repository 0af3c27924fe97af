"""Sequences of changes, events, redeliveries and crashes: a shard holds what its log says, on a real Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from features import Catalogue, Event, EventError, Id, ItemChange, user_row
from offline.data.history import State
from settings import Settings
from stores import Logged, connect, decode_event, partition_of, view_shard
from stores.feast.feature_store import Features
from stores.feast.online_rows import OnlineRows
from stores.redis.shard_transaction import waiting_events
from tests.stream.samples import FILMS, GOODS, Sample
from tests.stream.test_exactly_once import DRAWN, MAX_FUTURE_S, SHARDS, WAITING_EVENTS, Stream

ITEM_WORDS: dict[str, Sequence[dict[str, Any]]] = {
    "films": ({}, {"title": "New", "year": 1994, "genres": ["Comedy", "Drama"]}, {"genres": ["War"]}),
    "goods": ({}, {"title": "New", "categories": ["garden"], "brand": "brand 3", "price": 5}, {"categories": ["toys"]}),
}
USER_WORDS: dict[str, Sequence[dict[str, Any]]] = {
    "films": ({}, {"gender": "F"}),
    "goods": ({}, {"segment": "new"}, {"segment": "regular"}),
}


def unknown_of(sample: Sample) -> Id:
    """An item that is not published."""
    return 77 if sample is FILMS else "new/1"


def name_of(sample: Sample) -> str:
    return "films" if sample is FILMS else "goods"


def catalogue_of(sample: Sample) -> Catalogue:
    return Catalogue.of(sample.items.values(), [], len(sample.schema.user_attributes))


class ChangingStream(Stream):
    """The same with items and users that change, and events of items that come later."""

    def append_everywhere(self, change: ItemChange) -> None:
        for shard in range(SHARDS):
            self.append(shard, *self.sample.schema.events.encode(change))

    def item(self, place: int) -> Id:
        return (*self.sample.items, unknown_of(self.sample))[place]

    @rule(place=st.integers(0, 3), version=st.integers(1, 3), words=st.integers(0, 2), shard=st.integers(-1, 1))
    def an_item_is_changed(self, place: int, version: int, words: int, shard: int) -> None:
        given = ITEM_WORDS[name_of(self.sample)][words]
        change = self.sample.schema.events.item_change(self.item(place), version, given)
        if shard < 0:
            self.append_everywhere(change)
        else:  # the other one is not written, as when the writer dies
            self.append(shard, *self.sample.schema.events.encode(change))

    @rule(place=st.integers(0, 3), version=st.integers(1, 3))
    def an_item_is_withdrawn(self, place: int, version: int) -> None:
        self.append_everywhere(self.sample.schema.events.withdrawal(self.item(place), version))

    @rule(user=st.integers(0, 4), words=st.integers(0, 1))
    def a_user_is_changed(self, user: int, words: int) -> None:
        userid = self.sample.users[user]
        change = self.sample.schema.events.user_change(userid, USER_WORDS[name_of(self.sample)][words])
        self.append(partition_of(userid, SHARDS), *self.sample.schema.events.encode(change))

    @rule(drawn=st.lists(DRAWN, min_size=1, max_size=3))
    def events_of_an_unknown_item_arrive(self, drawn: list[tuple[int, int, int, int]]) -> None:
        for user, _, number, ts in drawn:
            code = 1 + number % (self.sample.schema.codes.size - 1)
            event = Event(self.sample.users[user], unknown_of(self.sample), code, ts)
            self.append(partition_of(event.userid, SHARDS), *self.sample.schema.events.encode(event))

    @staticmethod
    def erases(batch: list[Logged]) -> bool:
        """True where a batch is folded in several runs."""
        return any(record.value is not None and b'"schema_version"' in record.value for record in batch)

    def folded(self, shard: int) -> tuple[State, list[str]]:
        """The state after what is folded of a shard's log, and why records of it are dead."""
        state = State(self.sample.schema, catalogue_of(self.sample), waiting_events=WAITING_EVENTS)
        dead = []
        for record in self.log[shard][: self.applied(shard) + 1]:
            try:
                state.take(decode_event(record, self.sample.schema, SHARDS, MAX_FUTURE_S), offset=record.offset)
            except EventError as error:
                dead.append(str(error))
        return state, dead

    @invariant()
    def the_state_is_what_the_folded_events_say(self) -> None:
        reasons: list[str] = []
        for shard in range(SHARDS):
            state, dead = self.folded(shard)
            reasons += dead
            of_shard = [userid for userid in self.sample.users if partition_of(userid, SHARDS) == shard]
            stored = self.profiles.read_users(of_shard)
            assert stored == {
                userid: (profile, state.seen[userid]) for userid, profile in state.profiles.items() if profile.version
            }
            assert all(n >= 0 for profile, _ in stored.values() for tally in profile.tallies for n in tally)
            assert self.profiles.shard_counters(shard) == state.counters
            assert self.profiles.attributes(of_shard) == {userid: state.user(userid) for userid in of_shard}
            view = view_shard(self.profiles, shard)
            assert dict(view.changed) == state.layer.changed and view.withdrawn == state.layer.withdrawn
            assert state.layer.changed.keys() <= view.unpublished
            kept = {itemid: waiting_events(self.sample.schema, entries) for itemid, entries in view.waiting.items()}
            waiting = {itemid: [(entry.offset, event) for entry, event in each] for itemid, each in kept.items()}
            assert waiting == state.waiting and view.waits == sum(map(len, waiting.values()))
        assert self.profiles.dead() == {reason: reasons.count(reason) for reason in reasons}

    def everything_is_folded_at_the_end(self) -> None:
        for shard in range(SHARDS):
            self.fold(shard, len(self.log[shard]))
            assert self.applied(shard) == len(self.log[shard]) - 1
        self.the_state_is_what_the_folded_events_say()
        assert self.profiles.visible_offsets() == [len(log) - 1 for log in self.log]
        schema, users = self.sample.schema, self.sample.users
        states = [self.folded(shard)[0] for shard in range(SHARDS)]
        rows, evicted = self.features.users(users), self.profiles.evicted_among(users)
        expected = {
            userid: user_row(schema, profile, state.user(userid), state.layer)
            for state in states
            for userid, profile in state.profiles.items()
            if profile.version and (userid not in evicted or userid in rows)
        }
        assert rows == expected


@pytest.mark.parametrize(("sample", "examples"), [(FILMS, 20), (GOODS, 20)], ids=["films", "goods"])
def test_every_change_takes_effect_at_its_position_whatever_happens(
    redis: Settings, sample: Sample, examples: int
) -> None:
    ChangingStream.settings, ChangingStream.sample = redis, sample
    ChangingStream.features = Features(redis, sample.schema)
    ChangingStream.rows = OnlineRows(connect(redis.redis), redis.feast.project)
    run_state_machine_as_test(
        ChangingStream,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
