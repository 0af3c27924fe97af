"""Ids of users and items, and their numbers inside models."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import UNKNOWN_NUMBER, EventError, IdKind, Numbering, id_text


@given(st.integers(1, 2**31 - 1))
def test_a_number_is_read_from_its_text(userid: int) -> None:
    assert IdKind.INTEGER.parse(id_text(userid), "userid") == userid


@given(st.text(max_size=200))
def test_any_text_is_an_id_or_an_error(text: str) -> None:
    for kind in IdKind:
        try:
            assert id_text(kind.parse(text, "userid")) == text
            id_text(text).encode()
        except EventError as error:
            assert str(error) == f"userid must be {kind.rule}"


@pytest.mark.parametrize("text", ["", "07", "+7", "7 ", "0", "-1", "2147483648", "٣", "9" * 5000])
def test_a_number_that_is_not_written_as_it_is_stored_is_refused(text: str) -> None:
    with pytest.raises(EventError, match="itemid must be a whole number from 1 to 2147483647"):
        IdKind.INTEGER.parse(text, "itemid")


def test_an_erased_id_leaves_the_numbers_of_the_others() -> None:
    numbering = Numbering(["a", "b", "c"]).without(["b"])
    assert numbering.numbers(["a", "b", "c", "d"]).tolist() == [1, UNKNOWN_NUMBER, 3, UNKNOWN_NUMBER]
    assert (numbering.size, numbering.id(3)) == (4, "c")
    with pytest.raises(KeyError):
        numbering.id(2)
