"""Quality before learning."""

from __future__ import annotations

import math
import pickle

import pytest

from drift.alarms import Moment
from drift.change import Change
from drift.events import NO_LIST
from drift.quality import KEPT, LEAST, Quality
from scoring import MISSED

NOW = Moment(1000, 1.0, 2)


def test_figures_are_those_of_the_scored_events() -> None:
    quality = Quality()
    for number in range(200):
        liked = number % 2 == 0
        rank = (5, 40, MISSED, 70)[number // 2 % 4] if liked else NO_LIST
        quality.seen += 4
        quality.add("run", liked, 0.8 if liked else 0.3, rank, ("gender:F" if number < 100 else "gender:M",))
    window = quality.window(NOW)
    assert window is not None
    assert (window.seen, window.scored, window.listed, window.sampling) == (800, 200, 100, 0.25)
    assert (window.auc, window.label_rate) == (1.0, 0.5)
    assert window.logloss == pytest.approx(-(math.log(0.8) + math.log(0.7)) / 2)
    assert (window.hit10, window.hit50) == (0.25, 0.5)
    assert {name: segment.scored for name, segment in window.segments.items()} == {"gender:F": 100, "gender:M": 100}


def test_too_few_events_give_no_figure() -> None:
    quality = Quality()
    for _ in range(LEAST - 1):
        quality.add("run", True, 0.5, 1, ())
    window = quality.window(NOW)
    assert window is not None and window.auc is None and window.logloss is None and window.hit10 is None


def test_without_scores_there_is_no_window() -> None:
    quality = Quality()
    quality.seen = 100
    assert quality.window(NOW) is None


def test_a_score_that_is_not_a_number_is_not_counted() -> None:
    quality = Quality()
    quality.add("run", True, float("nan"), NO_LIST, ())
    assert not quality.entries


def test_figures_are_those_of_the_run_they_are_shown_with() -> None:
    quality = Quality()
    for _ in range(100):
        quality.seen += 1
        quality.add("old", False, 0.9, 5, ("gender:F",))
    first = quality.window(NOW)
    assert first is not None and first.run == "old" and first.label_rate == 0.0
    for _ in range(LEAST):
        quality.seen += 2
        quality.add("new", True, 0.9, MISSED, ("gender:M",))
    window = quality.window(NOW)
    assert window is not None and window.run == "new"
    assert (window.scored, window.listed, window.label_rate, window.hit10) == (LEAST, LEAST, 1.0, 0.0)
    assert list(window.segments) == ["gender:M"]
    assert window.seen == 2 * LEAST - 1


def test_old_events_leave() -> None:
    quality = Quality()
    for number in range(2 * KEPT):
        quality.add("run", number >= KEPT, 0.5, NO_LIST, ())
    window = quality.window(NOW)
    assert window is not None and window.label_rate == 1.0


@pytest.mark.parametrize("detector", ["adwin", "kswin"])
def test_a_change_is_found_at_the_same_event_after_a_restart(detector: str) -> None:
    values = [(number * 37 % 100) / 100 for number in range(1500)]
    values += [0.9 + value / 10 for value in values]
    found = []
    for restart in (False, True):
        change = Change(detector)  # type: ignore[arg-type]
        for number, value in enumerate(values):
            if restart and number % 400 == 399:
                change = Change.unpack(change.pack())
            means = change.add(value)
            if means is not None:
                found.append((number, means))
                break
    assert len(found) == 2 and found[0] == found[1]
    number, (before, after) = found[0]
    assert number > 1500
    assert before < after


def test_nothing_but_a_detector_is_unpacked() -> None:
    with pytest.raises(pickle.UnpicklingError, match="is not part of a detector"):
        Change.unpack(pickle.dumps(print))
