"""A body that breaks a rule costs no more to refuse than a good one to accept."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from api.data_set_requests import DataSetRequests
from api.messages import RecommendationRequest, RequestError, parse
from tests import movielens, shop

MAX_ENTRIES = 1000
FILMS = DataSetRequests(movielens.SCHEMA)
SHOP = DataSetRequests(shop.SCHEMA)
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
    "a filter of many attributes": {"userid": 1, "filter": {f"f{n}": {} for n in range(20_000)}},
    "a condition of many fields": {"userid": 1, "filter": {"genres": {f"f{n}": n for n in range(20_000)}}},
    "a condition of many values": {"userid": 1, "filter": {"genres": {"any": ["Drama"] * 100_000}}},
    "a condition of wrong values": {"userid": 1, "filter": {"genres": {"any": [1] * MAX_ENTRIES}}},
    "a condition of a long value": {"userid": 1, "filter": {"genres": {"any": ["x" * 100_000]}}},
    "a long attribute": {"userid": 1, "diversity": {"attribute": "x" * 100_000, "most": 1}},
}


def refusal(body: object, found: list[int]) -> str:
    """The refusal of a body; adds the number of errors that validation made to `found`."""
    with pytest.raises(RequestError) as told:
        parse(FILMS.recommendation, body, MAX_ENTRIES)
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
        | st.dictionaries(
            st.sampled_from(["itemid", "rating", "event", "ts", "offset", "genres", "any", "min", "most", "z"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.sampled_from([FILMS, SHOP]),
    st.dictionaries(st.sampled_from([*RecommendationRequest.model_fields, "unknown"]), VALUES),
)
def test_whatever_the_body_validation_makes_few_errors(requests: DataSetRequests, body: dict[str, object]) -> None:
    try:
        parse(requests.recommendation, body, 20)
    except RequestError as error:
        cause = error.__context__
        assert not isinstance(cause, ValidationError) or cause.error_count() <= 5 * len(body)
        assert ": " in str(error)


def test_a_field_without_a_name_is_named_all_the_same() -> None:
    assert refusal({"userid": 1, "": 2}, []) == "'': extra inputs are not permitted"


def test_the_largest_good_bodies_are_accepted() -> None:
    history = [{"itemid": 1, "rating": 5, "ts": 1}] * MAX_ENTRIES
    found = parse(FILMS.recommendation, {"history": history, "exclude": [1] * MAX_ENTRIES}, MAX_ENTRIES)
    assert (len(found.history or []), len(found.exclude)) == (MAX_ENTRIES, MAX_ENTRIES)
    history = [{"itemid": "x" * 128, "event": "cart", "ts": 1}] * MAX_ENTRIES
    found = parse(SHOP.recommendation, {"history": history, "exclude": ["ü"] * MAX_ENTRIES}, MAX_ENTRIES)
    assert (len(found.history or []), len(found.exclude)) == (MAX_ENTRIES, MAX_ENTRIES)


def test_the_position_is_taken_as_it_was_answered() -> None:
    position = {"partition": 3, "offset": 17, "ts": 1_700_000_000}
    request = parse(FILMS.recommendation, {"userid": 1, "after": position}, MAX_ENTRIES)
    found = request.awaited(3)
    assert found is not None and (found.partition, found.offset) == (3, 17)
    assert request.awaited(2) is None


def test_of_the_positions_of_a_change_the_one_in_the_partition_counts() -> None:
    positions = [{"partition": partition, "offset": 10 + partition} for partition in (2, 0, 1)]
    request = parse(FILMS.recommendation, {"userid": 1, "after": positions}, MAX_ENTRIES)
    assert [getattr(request.awaited(partition), "offset", None) for partition in range(4)] == [10, 11, 12, None]


@pytest.mark.parametrize(
    ("after", "sentence"),
    [
        ([], "after: list should have at least 1 item after validation, not 0"),
        ({"partition": 0}, "after.offset: field required"),
        ([{"partition": 0, "offset": 1}, {"partition": 1, "offset": -1}], "after.1.offset: input should be greater"),
        ([{"partition": 0, "offset": 1, "at": 1}], "after.0.at: extra inputs are not permitted"),
        ([{"partition": 0, "offset": 1}] * (MAX_ENTRIES + 1), f"after: at most {MAX_ENTRIES} entries"),
        ("latest", "after: input should be a valid dictionary"),
    ],
)
def test_a_wrong_position_is_named_by_its_place(after: object, sentence: str) -> None:
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}"):
        parse(FILMS.recommendation, {"userid": 1, "after": after}, MAX_ENTRIES)


@pytest.mark.parametrize(
    ("requests", "body", "sentence"),
    [
        (FILMS, {"userid": "1"}, "userid: input should be a valid integer"),
        (FILMS, {"userid": True}, "userid: input should be a valid integer"),
        (FILMS, {"userid": 0}, "userid: input should be greater than or equal to 1"),
        (FILMS, {"userid": 2**31}, "userid: input should be less than or equal to 2147483647"),
        (FILMS, {"userid": 1, "exclude": [0]}, "exclude.0: input should be greater than or equal to 1"),
        (SHOP, {"userid": 1}, "userid: input should be a valid string"),
        (SHOP, {"userid": ""}, "userid: string should have at least 1 character"),
        (SHOP, {"userid": "x" * 129}, "userid: string should have at most 128 characters"),
        (SHOP, {"userid": "a\nb"}, "userid: must be a text of 1 to 128 characters without control characters"),
        (SHOP, {"userid": "u", "exclude": ["i", 1]}, "exclude.1: input should be a valid string"),
        (SHOP, {"history": [{"itemid": "i", "rating": 5}]}, "history.0.rating: extra inputs are not permitted"),
        (SHOP, {"history": [{"itemid": "i", "event": "rent"}]}, "history.0.event: input should be 'view', 'cart' or "),
        (FILMS, {"history": [{"itemid": 1, "rating": 7}]}, "history.0.rating: input should be less than or equal to 5"),
        (FILMS, {"userid": 1, "filter": {"colour": {}}}, "filter.colour: extra inputs are not permitted"),
        (FILMS, {"userid": 1, "filter": {"genres": {"min": 1}}}, "filter.genres.min: extra inputs are not permitted"),
        (FILMS, {"userid": 1, "filter": {"year": {"any": ["x"]}}}, "filter.year.any: extra inputs are not permitted"),
        (
            FILMS,
            {"userid": 1, "filter": {"genres": {"any": []}}},
            "filter.genres.any: list should have at least 1 item",
        ),
        (FILMS, {"userid": 1, "filter": {"year": {"min": "1990"}}}, "filter.year.min: input should be a valid number"),
        (SHOP, {"userid": "u", "filter": {"text": {"any": ["x"]}}}, "filter.text: extra inputs are not permitted"),
        (FILMS, {"userid": 1, "diversity": {"attribute": "genres"}}, "diversity.most: field required"),
        (
            FILMS,
            {"userid": 1, "diversity": {"attribute": "genres", "most": 0}},
            "diversity.most: input should be great",
        ),
    ],
)
def test_a_body_that_breaks_a_rule_of_the_data_set_is_refused_with_the_rule(
    requests: DataSetRequests, body: object, sentence: str
) -> None:
    with pytest.raises(RequestError) as told:
        parse(requests.recommendation, body, MAX_ENTRIES)
    assert str(told.value).startswith(sentence)
