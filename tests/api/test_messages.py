"""A body that breaks a rule costs no more to refuse than a good one to accept."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from api.messages import RatingRequest, RecommendationRequest, RequestError, parse

MAX_ENTRIES = 1000
HOSTILE = {
    "too many items": {"userid": 1, "exclude": [1] * 100_000},
    "as many wrong items as are allowed": {"userid": 1, "exclude": ["x"] * MAX_ENTRIES},
    "wrong events": {"history": [{"itemid": 0, "rating": 9, "ts": -1}] * MAX_ENTRIES},
    "events of no fields": {"history": [{}] * MAX_ENTRIES},
    "an event of many fields": {"history": [{f"f{n}": n for n in range(20_000)}]},
    "many fields": {f"f{n}": n for n in range(20_000)},
    "a position of many fields": {"userid": 1, "after": {f"f{n}": n for n in range(20_000)}},
    "lists where there are none": {"userid": [1] * 100_000, "size": [1] * 100_000},
    "deep lists": {"userid": 1, "exclude": [[[1] * 1000]] * MAX_ENTRIES},
}


def refusal(body: object, found: list[int]) -> str:
    """The refusal of a body; adds the number of errors that validation made to `found`."""
    with pytest.raises(RequestError) as told:
        parse(RecommendationRequest, body, MAX_ENTRIES)
    cause = told.value.__context__
    found.append(cause.error_count() if isinstance(cause, ValidationError) else 0)
    return str(told.value)


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_refusal_is_made_of_few_errors_and_few_words(body: object) -> None:
    errors: list[int] = []
    assert len(refusal(body, errors)) < 250
    assert errors[0] <= len(RecommendationRequest.model_fields)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**40) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=10)
        | st.dictionaries(st.sampled_from(["itemid", "rating", "ts", "offset", "z"]), inner, max_size=5)
    ),
    max_leaves=20,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from([*RecommendationRequest.model_fields, "unknown"]), VALUES))
def test_whatever_the_body_validation_makes_few_errors(body: dict[str, object]) -> None:
    try:
        parse(RecommendationRequest, body, 20)
    except RequestError as error:
        cause = error.__context__
        assert not isinstance(cause, ValidationError) or cause.error_count() <= 3 * len(body)
        assert ": " in str(error)


def test_a_field_without_a_name_is_named_all_the_same() -> None:
    assert refusal({"userid": 1, "": 2}, []) == "'': extra inputs are not permitted"


def test_the_largest_good_bodies_are_accepted() -> None:
    history = [{"itemid": 1, "rating": 5, "ts": 1}] * MAX_ENTRIES
    found = parse(RecommendationRequest, {"history": history, "exclude": [1] * MAX_ENTRIES}, MAX_ENTRIES)
    assert (len(found.history or []), len(found.exclude)) == (MAX_ENTRIES, MAX_ENTRIES)
    assert parse(RatingRequest, {"userid": 1, "itemid": 2, "rating": 3}).rating == 3


def test_the_position_is_taken_as_it_was_answered() -> None:
    position = {"partition": 3, "offset": 17, "ts": 1_700_000_000}
    request = parse(RecommendationRequest, {"userid": 1, "after": position}, MAX_ENTRIES)
    assert request.after is not None
    assert (request.after.partition, request.after.offset) == (3, 17)
