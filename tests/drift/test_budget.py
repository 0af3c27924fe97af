"""The budget is spent in proportion to time, however many checks there are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.budget import WEEK_S, Budget
from drift.checks import Checks
from drift.divergence import psi
from drift.layout import Layout
from tests.drift.stream import SERIES, reference


@given(st.lists(st.floats(0.0, 400.0), min_size=1, max_size=50))
def test_all_checks_together_spend_no_more_than_time_gives(gaps: list[float]) -> None:
    budget, now, spent = Budget(1.0, 300.0), 1e9, 0.0
    for gap in gaps:
        now += gap
        spent += budget.spend(now)
    assert spent <= (300.0 + sum(gaps)) / WEEK_S * (1 + 1e-9)


@pytest.mark.parametrize("gap", [0.1, 1.25, 12.5])
def test_regular_checks_spend_what_came_in_between(gap: float) -> None:
    budget = Budget(3.0, 300.0)
    spent = [budget.spend(1e9 + gap * number) for number in range(60)]
    assert spent[-1] == pytest.approx(3.0 * gap / WEEK_S, rel=1e-6)


def test_a_restart_changes_nothing() -> None:
    budget, other = Budget(1.0, 300.0), Budget(1.0, 300.0)
    budget.spend(1e9)
    other.restore(budget.pack())
    assert other.spend(1e9 + 7) == budget.spend(1e9 + 7)


def test_the_psi_of_a_check_is_that_of_each_series_by_itself() -> None:
    layout = Layout(SERIES, reference())
    window = np.random.default_rng(1).integers(0, 9, layout.total)
    check = Checks(layout).check(window, 1e-6)
    for number, (name, histogram) in enumerate(layout.series.items()):
        counts = layout.of(name, window)
        assert check.n[number] == counts.sum()
        assert check.psi[number] == pytest.approx(float(psi(histogram.shares, counts, histogram.unit)))
    assert (check.threshold > check.normal).all()
