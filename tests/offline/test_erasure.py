"""The erasure of a user leaves the state that there would be if none of the user's events before it had been folded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from features import Event, Id, Schema
from features.counters import WEEK
from offline.data.history import State
from tests import movielens, shop

USERS: dict[Schema, list[Id]] = {
    movielens.SCHEMA: [1, 2, 3, 4, 5],
    shop.SCHEMA: ["1", "2", "3", "4", "5"],
}
CATALOGUES = {
    movielens.SCHEMA: movielens.catalogue(
        [movielens.item(itemid, f"item {itemid}", 1990 + itemid, (itemid,)) for itemid in range(1, 5)], []
    ),
    shop.SCHEMA: shop.catalogue([shop.item(itemid, categories=(0, 2)) for itemid in ("a", "b", "c", "d")], []),
}

Step = Event | Id
"""An event, or the user who is erased."""

Steps = tuple[Schema, list[Step]]


def steps_of(schema: Schema) -> st.SearchStrategy[Steps]:
    """Events of a data set and erasures of its users."""
    events = st.builds(
        Event,
        st.sampled_from(USERS[schema]),
        st.sampled_from(list(CATALOGUES[schema].items)),
        st.integers(1, schema.codes.size - 1),
        st.one_of(st.integers(0, 4), st.integers(0, 30 * WEEK), st.sampled_from([WEEK * weeks for weeks in range(30)])),
    )
    steps = st.one_of(events, events, events, st.sampled_from(USERS[schema]))
    return st.tuples(st.just(schema), st.lists(steps, max_size=80))


STEPS = st.one_of([steps_of(schema) for schema in USERS])


def after(schema: Schema, steps: list[Step]) -> State:
    state = State(schema, CATALOGUES[schema])
    for step in steps:
        if isinstance(step, Event):
            state.step(step)
        else:
            state.erase(step)
    return state


def remainder(steps: list[Step]) -> list[Step]:
    """The events without those of users who are erased later."""
    return [
        step for place, step in enumerate(steps) if isinstance(step, Event) and step.userid not in steps[place + 1 :]
    ]


def content(state: State) -> object:
    return state.profiles, state.seen, state.counters


@given(STEPS)
def test_the_state_is_that_of_a_stream_without_the_earlier_events_of_erased_users(given_steps: Steps) -> None:
    schema, steps = given_steps
    assert content(after(schema, steps)) == content(after(schema, remainder(steps)))


@given(STEPS)
def test_the_state_after_the_events_of_erased_users_are_gone_is_the_same(given_steps: Steps) -> None:
    schema, steps = given_steps
    erasures = [step for step in steps if not isinstance(step, Event)]
    left = remainder(steps)
    for userid in erasures:  # wherever an erasure stands among what is left
        left.insert(0, userid)
    assert content(after(schema, left)) == content(after(schema, steps))


@given(STEPS)
def test_each_event_sent_twice_and_each_erasure_folded_twice_change_nothing(given_steps: Steps) -> None:
    schema, steps = given_steps
    in_time = sorted(steps, key=lambda step: step.ts if isinstance(step, Event) else 0)
    # A late event that accumulates is not told from another; the seen filter knows the latest.
    steps = steps if schema == movielens.SCHEMA else in_time
    assert content(after(schema, [each for step in steps for each in (step, step)])) == content(after(schema, steps))


def test_weeks_that_were_too_old_are_counted_again_once_the_latest_rating_is_gone() -> None:
    earlier = [Event(1, 1, 5, WEEK), Event(2, 1, 2, 3 * WEEK)]
    state = after(movielens.SCHEMA, [*earlier, Event(3, 1, 4, 25 * WEEK)])
    assert state.counters[1].recent_n == 1
    state.erase(3)
    assert state.counters == after(movielens.SCHEMA, [*earlier]).counters
    assert state.counters[1].recent_n == 2


def test_an_item_that_only_the_erased_user_has_rated_has_no_counters() -> None:
    state = after(movielens.SCHEMA, [Event(1, 1, 5, 1), Event(1, 2, 5, 1), Event(2, 2, 5, 2), 1])
    assert state.counters.keys() == {2}
