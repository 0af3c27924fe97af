"""The part of a catch-up that is measured."""

from __future__ import annotations

from importlib import import_module

Look = import_module("bench.throughput").Look
first_warm = import_module("bench.throughput").first_warm


def test_a_catch_up_is_measured_from_a_tenth_of_the_log_on() -> None:
    looks = [Look(0.0, 0, {}), Look(1.0, 99, {}), Look(2.0, 100, {}), Look(3.0, 500, {}), Look(4.0, 1000, {})]
    assert first_warm(looks, 1000) == looks[2]


def test_a_log_that_is_folded_between_two_looks_is_measured_from_the_first_of_them() -> None:
    looks = [Look(0.0, 0, {}), Look(1.0, 0, {}), Look(1.1, 1000, {})]
    assert first_warm(looks, 1000) == looks[1]
    assert first_warm([looks[0], looks[2]], 1000) == looks[0]


def test_workers_are_measured_from_when_each_has_partitions() -> None:
    looks = [Look(0.0, 0, {}, False), Look(1.0, 500, {}, False), Look(2.0, 600, {}, True), Look(3.0, 1000, {}, True)]
    assert first_warm(looks, 1000) == looks[2]
