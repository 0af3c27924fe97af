"""The fold of a log that got more partitions, into the shards of today."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from features import Catalogue, Erasure, Event, EventError, Id, Item, LogRecord
from offline.state.epoch_fold import EpochFold
from offline.state.snapshot import Shards
from stores import Logged, partition_of
from stores.kafka.epochs import Epoch, Epochs
from tests.movielens import SCHEMA, item

FORMER, MORE = 2, 3
USERS = range(1, 9)
ITEMS: dict[Id, Item] = {itemid: item(itemid, str(itemid), 1990, (itemid,)) for itemid in (1, 2)}
WORDS = SCHEMA.events
STAYS = next(userid for userid in USERS if partition_of(userid, FORMER) == partition_of(userid, MORE) == 0)
MOVES = next(userid for userid in USERS if partition_of(userid, FORMER) == 1 and partition_of(userid, MORE) == 2)

Former = list[tuple[int, LogRecord]]
"""Records of the former partitions, each with its partition."""


def events(items: Sequence[int]) -> st.SearchStrategy[tuple[int, LogRecord]]:
    of_users = st.builds(Event, st.sampled_from(USERS), st.sampled_from(items), st.integers(1, 5), st.integers(0, 9))
    return of_users.map(lambda event: (partition_of(event.userid, FORMER), event))


def changes(items: Sequence[int]) -> st.SearchStrategy[tuple[int, LogRecord]]:
    """Changes of items, each in one partition alone, as they are when some of them are still to come."""
    genres = st.sampled_from(([], ["War"], ["Drama", "War"]))
    made = st.builds(
        lambda itemid, version, names: WORDS.item_change(itemid, version, {"genres": names}),
        st.sampled_from(items),
        st.integers(1, 4),
        genres,
    )
    withdrawn = st.builds(WORDS.withdrawal, st.sampled_from(items), st.integers(1, 4))
    return st.tuples(st.integers(0, FORMER - 1), st.one_of(made, made, withdrawn))


def erasures() -> st.SearchStrategy[tuple[int, LogRecord]]:
    return st.sampled_from(USERS).map(lambda userid: (partition_of(userid, FORMER), Erasure(userid)))


RECORDS = st.lists(
    st.one_of(events((1, 2, 3, 4)), events((1, 2, 3, 4)), changes((1, 2, 3, 4)), erasures()), max_size=40
)


def folded(
    former: Former, order: Iterable[int], newest: Sequence[tuple[int, LogRecord]] = (), most: int = 99
) -> Shards:
    """The state after the records of the former partitions, read in an order of theirs, and those of the newest."""
    logs: list[list[LogRecord]] = [[record for at, record in former if at == number] for number in range(FORMER)]
    epochs = Epochs(MORE, [Epoch(partitions=FORMER, ends=tuple(map(len, logs)))])
    shards = Shards(SCHEMA, Catalogue(ITEMS, {}, 3), MORE, waiting_events=most)
    fold = EpochFold(shards, epochs, dict.fromkeys(range(MORE), 0))

    def take(partition: int, offset: int, said: LogRecord) -> None:
        with suppress(EventError):
            fold.take(Logged(partition, offset, *WORDS.encode(said)), said)

    for number in order:
        for offset, said in enumerate(logs[number]):
            take(number, offset, said)
    fold.finish()
    ends = [len(log) for log in logs] + [0] * (MORE - FORMER)
    for place, (partition, said) in enumerate(newest or []):
        take(partition, ends[partition] + place, said)
    return shards


def held(shards: Shards) -> list[tuple[object, ...]]:
    """All that each shard holds."""
    return [
        (state.profiles, state.seen, state.counters, state.layer, state.waiting, state.changed_users)
        for state in shards.states
    ]


@settings(max_examples=100, deadline=None)
@given(RECORDS, st.integers(1, 5))
def test_the_state_does_not_depend_on_the_order_in_which_former_partitions_are_read(former: Former, most: int) -> None:
    assert held(folded(former, (0, 1), most=most)) == held(folded(former, (1, 0), most=most))


@settings(max_examples=50, deadline=None)
@given(RECORDS)
def test_each_shard_begins_with_the_newest_version_of_each_item_and_with_what_waits_of_its_users(
    former: Former,
) -> None:
    states = folded(former, (0, 1)).states
    assert all(
        {*map(str, state.layer.changed.values())} == {*map(str, states[0].layer.changed.values())} for state in states
    )
    for number, state in enumerate(states):
        offsets = [offset for waiting in state.waiting.values() for offset, _ in waiting]
        assert sorted(offsets) == list(range(-len(offsets), 0))
        for itemid, waiting in state.waiting.items():
            assert itemid not in state.layer
            assert all(partition_of(event.userid, MORE) == number for _, event in waiting)


def test_an_event_that_waited_counts_once_another_former_partition_knew_its_item() -> None:
    said: Former = [(1, Event(MOVES, 3, 5, 1)), (0, WORDS.item_change(3, 1, {"genres": ["War"]}))]
    assert folded(said, (0, 1)).states[2].profiles[MOVES].n == 1


def test_an_event_that_waits_on_counts_in_the_shard_of_its_user_once_the_item_comes() -> None:
    said: Former = [(0, Event(STAYS, 3, 4, 1)), (1, Event(MOVES, 3, 5, 1))]
    change = WORDS.item_change(3, 1, {"genres": ["War"]})
    shards = folded(said, (0, 1), [(2, change)])
    assert shards.states[2].profiles[MOVES].n == 1 and 3 in shards.states[0].waiting
    assert 3 not in shards.states[0].layer


def test_an_event_is_taken_back_with_the_attributes_that_it_was_counted_under() -> None:
    change = WORDS.item_change(1, 2, {"genres": ["War"]})
    said: Former = [(1, Event(MOVES, 1, 5, 1)), (0, change), (0, Event(STAYS, 1, 5, 1))]
    again = [(2, Event(MOVES, 1, 1, 2)), (0, Event(STAYS, 1, 1, 2))]
    shards = folded(said, (0, 1), again)
    never = folded([(0, change), (1, change)], (0, 1), again)
    for shard, userid in ((2, MOVES), (0, STAYS)):
        profile, other = (each.states[shard].profiles[userid] for each in (shards, never))
        assert (profile.n, profile.tallies, profile.recent) == (other.n, other.tallies, other.recent)
