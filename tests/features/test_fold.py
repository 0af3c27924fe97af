"""The fold: a function of the events in the order of the log, where only a tie in time makes the order matter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from features import (
    RECENT,
    Event,
    Item,
    ItemCounter,
    Profile,
    Rated,
    Schema,
    Seen,
    count,
    fold,
    item_row,
    merge,
    user_row,
)
from features.counters import WEEK, WEEKS
from features.seen import known, later, with_rated
from tests import shop
from tests.movielens import DECADES, GENRES, SCHEMA, item, rated, user
from tests.weights import obvious_weights

LIKED = 4

ITEMS = {
    itemid: item(itemid, f"item {itemid}", 1900 + itemid, (itemid % 17, 17)[: 1 + itemid % 2])
    for itemid in range(1, 130)
}

events = st.builds(
    rated,
    userid=st.just(1),
    itemid=st.sampled_from(sorted(ITEMS)),
    rating=st.integers(1, 5),
    ts=st.one_of(st.integers(0, 30), st.integers(0, 20 * WEEK), st.integers(0, 2**32 - 1)),
)
half_lives = st.integers(1, 4).map(lambda number: number * SCHEMA.codes.half_life_s)
few = st.builds(rated, st.just(1), st.integers(1, 4), st.integers(1, 5), st.integers(0, 5) | half_lives)
histories = st.one_of(st.lists(events, max_size=60), st.lists(few, max_size=30))

State = tuple[Profile, dict[object, Seen], dict[object, ItemCounter]]


def folded(history: list[Event], schema: Schema = SCHEMA, items: dict[object, Item] = ITEMS) -> State:
    codes, profile, seen, counters = schema.codes, schema.profile(1), {}, {}
    for event in history:
        before = known(seen.get(event.itemid), event.code, codes)
        if fold(codes, profile, before, event, items):
            now = later(event, before)
            if now != before:
                count(codes, counters.setdefault(event.itemid, ItemCounter()), before, now)
            seen[event.itemid] = with_rated(codes, seen.get(event.itemid), now)
    return profile, seen, counters


def without_version(state: State) -> object:
    state[0].version = 0
    return state


def slow(history: list[Event]) -> State:
    """The obvious version: the latest rating of each item, the last of a tie; then count everything from scratch."""
    seen: dict[object, Seen] = {}
    for event in sorted(history, key=lambda event: event.ts):
        seen[event.itemid] = ((event.ts, event.code),)
    profile = SCHEMA.profile(1)
    counters: dict[object, ItemCounter] = {}
    genre_n, genre_likes, decade_n, decade_likes = profile.tallies
    for itemid, ((ts, rating),) in seen.items():
        liked = rating >= LIKED
        profile.n += 1
        profile.likes += liked
        year, genres, _ = ITEMS[itemid].values
        for genre in genres:
            genre_n[genre] += 1
            genre_likes[genre] += liked
        decade = min(max((year - 1910) // 10, 0), 9)
        decade_n[decade] += 1
        decade_likes[decade] += liked
        counters[itemid] = ItemCounter(1, int(liked), ts, {ts // WEEK: [1, int(liked)]})
    if history:
        profile.first_ts = min(event.ts for event in history)
        kept = [(rated(1, itemid, rating, ts), ITEMS[itemid]) for itemid, ((ts, rating),) in seen.items()]
        profile.weights = obvious_weights(SCHEMA, kept, profile.first_ts)
        profile.last_ts = max(event.ts for event in history)
    profile.recent = sorted((ts, itemid, rating) for itemid, ((ts, rating),) in seen.items())[-RECENT:]
    return profile, seen, counters


@given(histories)
def test_the_fold_equals_the_obvious_version(history: list[Event]) -> None:
    assert without_version(folded(history)) == without_version(slow(history))


@given(histories, st.randoms())
def test_the_order_of_events_with_distinct_times_does_not_matter(history: list[Event], random) -> None:
    distinct = list({(event.itemid, event.ts): event for event in history}.values())
    shuffled = list(distinct)
    random.shuffle(shuffled)
    assert without_version(folded(shuffled)) == without_version(folded(distinct))


@given(histories, st.randoms())
def test_only_the_order_within_a_tie_matters(history: list[Event], random) -> None:
    places: dict[tuple[int, int], list[Event]] = {}
    for event in history:
        places.setdefault((event.itemid, event.ts), []).append(event)
    shuffled = list(history)
    random.shuffle(shuffled)
    ties = {tie: iter(events) for tie, events in places.items()}
    shuffled = [next(ties[event.itemid, event.ts]) for event in shuffled]
    assert without_version(folded(shuffled)) == without_version(folded(history))


@given(histories)
def test_an_event_sent_twice_counts_once(history: list[Event]) -> None:
    assert folded([each for event in history for each in (event, event)]) == folded(history)


@given(histories, st.integers(1, 5), st.integers(1, 5))
def test_of_two_ratings_in_the_same_second_the_later_in_the_log_counts(
    history: list[Event], first: int, second: int
) -> None:
    now = max((event.ts for event in history), default=0) + 1
    profile, seen, counters = folded([*history, rated(1, 7, first, now), rated(1, 7, second, now)])
    assert seen[7] == ((now, second),)
    assert profile.recent[-1] == (now, 7, second)
    assert counters[7].likes == (second >= LIKED)


def test_a_history_longer_than_what_is_kept_keeps_the_latest() -> None:
    history = [rated(1, itemid, 5, 1000 - itemid) for itemid in sorted(ITEMS)]
    profile, _, _ = folded(history)
    assert len(profile.recent) == RECENT
    assert without_version(folded(history)) == without_version(slow(history))


def test_a_later_rating_of_the_same_item_replaces_the_earlier() -> None:
    profile, seen, counters = folded([rated(1, 3, 5, 10), rated(1, 3, 1, 20)])
    assert (profile.n, profile.likes) == (1, 0)
    assert seen == {3: ((20, 1),)}
    assert (counters[3].n, counters[3].likes) == (1, 0)


@given(
    st.lists(
        st.builds(rated, st.integers(1, 6), st.integers(1, 3), st.integers(1, 5), st.integers(0, 30 * WEEK)),
        max_size=80,
    )
)
def test_counters_summed_over_shards_are_those_of_all_events(history: list[Event]) -> None:
    for itemid in (1, 2, 3):
        shards = [ItemCounter(), ItemCounter()]
        seen: dict[object, Rated] = {}
        for event in history:
            before = seen.get(event.userid)
            if event.itemid == itemid and (before is None or event.ts > before[0]):
                seen[event.userid] = (event.ts, event.code)
                count(SCHEMA.codes, shards[event.userid % 2], before, seen[event.userid])
        total = merge(shards)
        newest = max((ts for ts, _ in seen.values()), default=0) // WEEK
        recent = [rating for ts, rating in seen.values() if ts // WEEK > newest - WEEKS]
        assert total.n == len(seen)
        assert total.likes == sum(rating >= LIKED for _, rating in seen.values())
        assert total.recent_n == len(recent)
        assert total.recent_likes == sum(rating >= LIKED for rating in recent)


@given(histories)
def test_the_rows_follow_from_the_latest_ratings(history: list[Event]) -> None:
    profile, seen, counters = folded(history)
    row = user_row(SCHEMA, profile, user(1, 1, 2, 3), ITEMS)
    latest = sorted((ts, itemid, rating) for itemid, ((ts, rating),) in seen.items())
    last30, last10 = latest[-30:], latest[-10:]
    assert (row["gender"], row["age"], row["occupation"]) == (1, 2, 3)
    assert (row["n"], row["likes"]) == (len(latest), sum(rating >= LIKED for _, _, rating in latest))
    assert (row["n30"], row["likes30"]) == (len(last30), sum(rating >= LIKED for _, _, rating in last30))
    assert (row["n10"], row["likes10"]) == (len(last10), sum(rating >= LIKED for _, _, rating in last10))
    for genre in range(len(GENRES)):
        of_genre = [rating for _, itemid, rating in last30 if genre in ITEMS[itemid].values[1]]
        assert row["genre_n30"][genre] == len(of_genre)
        assert row["genre_likes30"][genre] == sum(rating >= LIKED for rating in of_genre)
    assert sum(row["decade_n"]) == len(latest)
    assert len(row["decade_n"]) == len(DECADES)
    for itemid, counter in counters.items():
        assert item_row(SCHEMA, counter, ITEMS[itemid])["n"] == counter.n


GOODS = {sku: shop.item(sku, sku, (number % 3,), number, 5.0 * number) for number, sku in enumerate("abcd")}
clicks = st.builds(shop.event, st.just("u"), st.sampled_from(sorted(GOODS)), st.integers(1, 3), st.integers(0, 40))


def of_shop(history: list[Event]) -> State:
    return folded(history, shop.SCHEMA, GOODS)


@given(st.lists(clicks, max_size=40), st.randoms())
def test_the_order_of_clicks_with_distinct_times_does_not_matter(history: list[Event], random) -> None:
    distinct = list({(event.itemid, event.code, event.ts): event for event in history}.values())
    shuffled = list(distinct)
    random.shuffle(shuffled)
    assert without_version(of_shop(shuffled)) == without_version(of_shop(distinct))


@given(st.lists(clicks, max_size=40))
def test_each_view_counts_and_of_purchases_the_latest(history: list[Event]) -> None:
    once = list({(event.itemid, event.code, event.ts): event for event in history}.values())
    profile, seen, counters = of_shop(once)
    clicked = [event for event in once if event.code != shop.PURCHASE]
    bought = {event.itemid for event in once if event.code == shop.PURCHASE}
    carts = sum(event.code == shop.CART for event in once)
    assert (profile.n, profile.likes) == (len(clicked) + len(bought), carts + len(bought))
    pairs = {(event.itemid, event.code) for event in once}
    assert {(itemid, code) for itemid, latest in seen.items() for _, code in latest} == pairs
    for itemid, latest in seen.items():
        for ts, code in latest:
            assert ts == max(event.ts for event in once if (event.itemid, event.code) == (itemid, code))
        assert counters[itemid].n == len(latest), "a user counts once for each type"


@given(st.lists(clicks, max_size=40))
def test_a_view_never_erases_a_purchase(history: list[Event]) -> None:
    _, seen, _ = of_shop([*history, shop.event("u", "a", shop.PURCHASE, 50), shop.event("u", "a", shop.VIEW, 60)])
    assert (50, shop.PURCHASE) in seen["a"]
    assert (60, shop.VIEW) in seen["a"]
