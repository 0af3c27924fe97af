"""The report of a difference that a verification has found."""

from __future__ import annotations

from tests.movielens import SCHEMA
from verify.report import LONGEST, Verified


def test_a_difference_is_told_in_short() -> None:
    result = Verified()
    result.check("same", [1], [1])
    result.check("other", "x" * 2 * LONGEST, None)
    assert result.differing == {"other": f"expected {'x' * LONGEST}..., stored None"}


def test_a_difference_of_weights_that_are_too_long_to_be_written_is_told() -> None:
    profile, result = SCHEMA.profile(1), Verified()
    profile.weights[0][3] = 1 << 50_000
    result.check("user 1", profile, SCHEMA.profile(1))
    assert result.differences == 1 and "thousands of digits, stored Profile(" in result.differing["user 1"]
