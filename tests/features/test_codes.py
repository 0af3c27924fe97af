"""Codes: what an event says, as one small number."""

from __future__ import annotations

import pytest

from features import Codes
from features.dataset import Condition, Feedback
from features.dataset.feedback import ValueRange
from tests import shop
from tests.movielens import SCHEMA


def test_the_code_of_a_rating_is_the_rating() -> None:
    codes = SCHEMA.codes
    assert [codes.code("rating", stars) for stars in range(1, 6)] == [1, 2, 3, 4, 5]
    assert codes.size == 6
    assert codes.positive == (False, False, False, False, True, True)
    assert codes.levels == (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
    assert (codes.name(4), codes.value(4), codes.type(4)) == ("4", 4.0, "rating")


def test_types_without_values_have_a_code_each() -> None:
    codes = shop.SCHEMA.codes
    assert [codes.code(name, None) for name in codes.types] == [shop.VIEW, shop.CART, shop.PURCHASE]
    assert codes.positive == (False, False, True, True)
    assert codes.target == (False, False, False, True)
    assert codes.hides == (False, False, False, True)
    assert codes.levels == pytest.approx((0.0, 0.1, 0.5, 1.0))
    assert not codes.all_hide


def test_values_that_are_not_a_few_whole_numbers_have_a_code_for_each_meaning() -> None:
    watched = Feedback(
        value=ValueRange(minimum=0), positive=Condition("value >= 60"), negative=Condition("value < 5"), weight=2.0
    )
    codes = Codes({"open": Feedback(), "watch": watched})
    long, short, between = codes.code("watch", 61.5), codes.code("watch", 1), codes.code("watch", 30)
    assert {codes.code("open", None), long, short, between} == {1, 2, 3, 4}
    assert (codes.positive[long], codes.negative[short], codes.positive[between]) == (True, True, False)
    assert (codes.levels[long], codes.levels[short]) == (2.0, -2.0)
    assert codes.value(long) is None
    with pytest.raises(ValueError, match="must be a number of at least 0"):
        codes.code("watch", -1)
    with pytest.raises(ValueError, match="must be a number of at least 0"):
        codes.code("watch", float("nan"))


def test_more_codes_than_fit_into_a_byte_are_refused() -> None:
    score = Feedback(value=ValueRange(minimum=0, maximum=99, whole=True))
    with pytest.raises(ValueError, match="at most 254 types and values together, and has 300"):
        Codes({"first": score, "second": score, "third": score})
