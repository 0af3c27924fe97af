"""PSI and Jensen-Shannon: what holds for any counts, and numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from drift.divergence import jensen_shannon, psi

counts = st.lists(st.integers(0, 500), min_size=2, max_size=8).filter(lambda found: sum(found) > 0)


@given(counts)
def test_the_reference_itself_has_not_drifted(found: list[int]) -> None:
    of = np.array(found)
    assert psi(of / of.sum(), of) == pytest.approx(0.0, abs=1e-12)
    assert jensen_shannon(of / of.sum(), of) == pytest.approx(0.0, abs=1e-12)


@given(counts, st.data())
def test_psi_is_positive_and_jensen_shannon_is_that_of_scipy(found: list[int], data: st.DataObject) -> None:
    other = data.draw(st.lists(st.integers(0, 500), min_size=len(found), max_size=len(found)).filter(any))
    reference, now = np.array(other) / sum(other), np.array(found)
    assert psi(reference, now) >= 0.0
    assert jensen_shannon(reference, now) == pytest.approx(jensenshannon(reference, now, base=2) ** 2, abs=1e-9)


def test_psi_of_a_worked_example() -> None:
    reference = np.array([0.1, 0.2, 0.3, 0.4])
    now = np.array([200, 200, 300, 300])
    expected = 0.1 * np.log(2.0) + (-0.1) * np.log(0.75)
    assert psi(reference, now) == pytest.approx(expected)


def test_a_bin_that_is_empty_on_one_side_counts_as_half_a_value() -> None:
    found = psi(np.array([0.5, 0.5, 0.0]), np.array([50, 0, 50]))
    assert found == pytest.approx((0.005 - 0.5) * np.log(0.005 / 0.5) + (0.5 - 0.005) * np.log(0.5 / 0.005))
    assert psi(np.array([0.5, 0.5, 0.0]), np.array([50, 50, 0])) == 0.0


def test_many_windows_at_once_are_one_after_the_other() -> None:
    reference, windows = np.array([0.3, 0.7]), np.array([[3, 7], [9, 1], [0, 5]])
    assert psi(reference, windows).tolist() == [float(psi(reference, window)) for window in windows]
