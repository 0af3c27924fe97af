"""The erasure of a user leaves the state that there would be if none of the user's events before it had been folded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from features import Catalogue, Event, Item
from features.counters import WEEK
from offline.data.history import State

ITEMS = {itemid: Item(itemid, f"item {itemid}", 1990 + itemid, (itemid,)) for itemid in range(1, 5)}
CATALOGUE = Catalogue(ITEMS, {})

Step = Event | int
"""An event, or the user who is erased."""

EVENTS = st.builds(
    Event,
    st.integers(1, 5),
    st.sampled_from(sorted(ITEMS)),
    st.integers(1, 5),
    st.one_of(st.integers(0, 4), st.integers(0, 30 * WEEK), st.sampled_from([WEEK * weeks for weeks in range(30)])),
)
STEPS = st.lists(st.one_of(EVENTS, EVENTS, EVENTS, st.integers(1, 5)), max_size=80)


def after(steps: list[Step]) -> State:
    state = State(CATALOGUE)
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
def test_the_state_is_that_of_a_stream_without_the_earlier_events_of_erased_users(steps: list[Step]) -> None:
    assert content(after(steps)) == content(after(remainder(steps)))


@given(STEPS)
def test_the_state_after_the_events_of_erased_users_are_gone_is_the_same(steps: list[Step]) -> None:
    erasures = [step for step in steps if not isinstance(step, Event)]
    left = remainder(steps)
    for userid in erasures:  # wherever an erasure stands among what is left
        left.insert(0, userid)
    assert content(after(left)) == content(after(steps))


@given(STEPS)
def test_each_event_sent_twice_and_each_erasure_folded_twice_change_nothing(steps: list[Step]) -> None:
    assert content(after([each for step in steps for each in (step, step)])) == content(after(steps))


def test_weeks_that_were_too_old_are_counted_again_once_the_latest_rating_is_gone() -> None:
    earlier = [Event(1, 1, 5, WEEK), Event(2, 1, 2, 3 * WEEK)]
    state = after([*earlier, Event(3, 1, 4, 25 * WEEK)])
    assert state.counters[1].recent_n == 1
    state.erase(3)
    assert state.counters == after(earlier).counters
    assert state.counters[1].recent_n == 2


def test_an_item_that_only_the_erased_user_has_rated_has_no_counters() -> None:
    state = after([Event(1, 1, 5, 1), Event(1, 2, 5, 1), Event(2, 2, 5, 2), 1])
    assert state.counters.keys() == {2}
