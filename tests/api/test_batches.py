"""Batches of requests: read whole, and refused whole with the place of the bad one."""

from __future__ import annotations

from typing import Any

import pytest

from api.batches import named, requests_of
from api.data_set_requests import DataSetRequests
from api.messages import RequestError
from tests import movielens, shop

FILMS = DataSetRequests(movielens.SCHEMA).recommendation
SHOP = DataSetRequests(shop.SCHEMA).recommendation


def test_requests_are_read_in_order() -> None:
    wanted = requests_of(SHOP, [{"userid": "a"}, {"history": [{"itemid": "i1"}], "size": 3}, {"userid": "b"}], 10)
    assert [request.userid for request in wanted] == ["a", None, "b"]
    assert [request.size for request in wanted] == [50, 3, 50]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"userid": 1}, "the body must be a JSON list of requests"),
        ([], "the list must have 1 to 100 requests, and has 0"),
        ([{"userid": 1}] * 101, "the list must have 1 to 100 requests, and has 101"),
        ([{"userid": 1}, 7], "1: must be a JSON object"),
        ([{"userid": 1}, {"userid": 2, "size": 0}], "1.size: input should be greater than or equal to 1"),
        ([{"userid": 1}, {"userid": "x"}], "1.userid: input should be a valid integer"),
        ([{"userid": 1, "sise": 3}], "0.sise: extra inputs are not permitted"),
        ([{"userid": 1}] * 3 + [{"userid": 1, "exclude": [1] * 11}], "3.exclude: at most 10 entries"),
        ([{"userid": 1, "context": [{"itemid": 1, "rating": 9}]}], "0.context.0.rating: input should be less than"),
    ],
)
def test_one_bad_request_refuses_all_by_its_place(body: Any, sentence: str) -> None:
    with pytest.raises(RequestError) as refused:
        requests_of(FILMS, body, 10)
    assert str(refused.value).startswith(sentence)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("give either userid or history", "4: give either userid or history"),
        ("size: input should be less", "4.size: input should be less"),
        ("history.2.itemid: 9 is not in the catalogue", "4.history.2.itemid: 9 is not in the catalogue"),
    ],
)
def test_an_error_that_is_found_later_names_the_place_too(error: str, sentence: str) -> None:
    with pytest.raises(RequestError) as refused, named(4):
        raise RequestError(error)
    assert str(refused.value) == sentence


def test_what_no_request_is_to_blame_for_names_none() -> None:
    with pytest.raises(RequestError) as refused, named(4):
        raise RequestError("nothing is published yet", 503)
    assert (str(refused.value), refused.value.status) == ("nothing is published yet", 503)
